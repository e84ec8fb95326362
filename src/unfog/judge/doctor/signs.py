from unfog.registry import Registry

signs = Registry("sign")
EXPLAINS = {}
