"""Names that entry scripts import but that mean nothing inside a service: importing works, use says why not."""


class _Refusing(type):
    def __call__(cls, *args, **kwargs):
        raise cls._refusal()

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise cls._refusal()

    def _refusal(cls):
        return RuntimeError(
            f"azureml.core.{cls.__name__} is not available inside a service, which has no workspace; "
            "read models with Model.get_model_path(NAME) and settings from environment variables"
        )


def refused(name):
    """Return a class that can be imported, subclassed and named in annotations, but not used."""
    return _Refusing(name, (), {"__doc__": "Refused inside a service."})


Dataset = refused("Dataset")
Datastore = refused("Datastore")
Environment = refused("Environment")
Experiment = refused("Experiment")
Keyvault = refused("Keyvault")
Run = refused("Run")
Webservice = refused("Webservice")
Workspace = refused("Workspace")
