def scaled(model, data):
    return [model['factor'] * value for value in data]
