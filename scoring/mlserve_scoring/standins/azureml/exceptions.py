"""Stand-in for ``azureml.exceptions``: the classes that entry scripts catch."""


class AzureMLException(Exception):
    """Base of all of them."""


class UserErrorException(AzureMLException):
    """The caller did something that cannot work."""


class ModelNotFoundException(UserErrorException):
    """No model of that name, or of that version, is in the image."""


class WebserviceException(AzureMLException):
    """An operation on a web service failed."""
