"""Estimators in scikit-learn's form: a generator, an imputer, a detector, an augmenter of rare
classes, a learner with it.

from unfog.sklearn import Augmented, Augmenter, Detector, Generator, Imputer
"""

try:
    import sklearn.utils.validation as _validation
except ImportError as error:
    raise ImportError("unfog.sklearn needs scikit-learn: pip install 'unfog[table]'") from error
if not hasattr(_validation, "validate_data"):
    raise ImportError("unfog.sklearn needs scikit-learn 1.6 or later: pip install -U scikit-learn")

from unfog.sklearn.augmenter import Augmented, Augmenter
from unfog.sklearn.detector import Detector
from unfog.sklearn.generator import Generator
from unfog.sklearn.imputer import Imputer

__all__ = ["Augmented", "Augmenter", "Detector", "Generator", "Imputer"]
