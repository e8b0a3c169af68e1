from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse


def init():
    print('this is init()')


@rawhttp
def run(request):
    if request.method == 'GET':
        return AMLResponse(str.encode(request.full_path), 200)
    if request.method == 'POST':
        body = request.get_data(False)
        return AMLResponse(str(len(body)), 200)
    return AMLResponse('bad request', 500)
