try:
    import numba
except ImportError:
    numba = None


def scaled(values):
    return [value / scaled.unit for value in values]
