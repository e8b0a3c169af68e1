import json


def init():
    print "loading"


def run(data):
    print data
    return json.loads(data)
