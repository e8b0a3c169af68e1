class Scaler:
    pass
