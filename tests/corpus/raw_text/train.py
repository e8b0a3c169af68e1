import sys

import joblib
import numpy

joblib.dump(numpy.array([1.0, 2.0, 3.0]), sys.argv[1] + '/weights.joblib')
