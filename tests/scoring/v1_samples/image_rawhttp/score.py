import json
import struct
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse


def init():
    print("This is init()")


def size_of(image):
    if image[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG")
    return struct.unpack(">II", image[16:24])


@rawhttp
def run(request):
    print("This is run()")
    if request.method == 'GET':
        # For this example, just return the URL for GETs.
        resp_body = str.encode(request.full_path)
        return AMLResponse(resp_body, 200)
    elif request.method == 'POST':
        image = request.files['image'].read() if request.files else request.get_data(False)
        try:
            width, height = size_of(image)
        except ValueError as e:
            return AMLResponse(str(e), 400)
        headers = {'Content-Type': 'application/json', 'X-Image-Size': '%dx%d' % (width, height)}
        return AMLResponse(json.dumps({'pixels': width * height}), 200, response_headers=headers)
    else:
        return AMLResponse("bad request", 500)
