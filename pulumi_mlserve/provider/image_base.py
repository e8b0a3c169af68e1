"""The base of an image: which one it is, that it stays the same, that it fits what goes on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pulumi_mlserve.clients.environments.wheel_tags import wheel_tags
from pulumi_mlserve.clients.images.base_blobs import BaseImage
from pulumi_mlserve.clients.images.base_run import run_image
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.clients.registries.login_kinds import Login
from pulumi_mlserve.clients.registries.refusals import NotThereError
from pulumi_mlserve.core.images import base_fit, cuda
from pulumi_mlserve.core.images.base_image import SCRATCH, BaseChoice, base_choice, default_base
from pulumi_mlserve.core.images.base_system import BaseSystem, Load
from pulumi_mlserve.core.images.oci import Base
from pulumi_mlserve.core.images.reference import Reference, parse_reference
from pulumi_mlserve.core.images.remote_image import layer_type
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_environment import Environment
from pulumi_mlserve.provider.image_unsettled import UnsettledError
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown
from pulumi_mlserve.provider.workplace import workplace

if TYPE_CHECKING:
    from pulumi_mlserve.clients.images.base_images import BaseDocuments, BaseImages

_ACCESS: Final = "base_image_registry"
_LIBRARIES: Final = ("cuda", "cudnn", "tensorrt")
_OURS: Final = "mlserve.recipe"
_SHORT: Final = 12


def asks_for_base(call: Call) -> bool:
    """Return whether an image has a base: one is given, or it goes to a registry, from where containers run."""
    given = call.news.get("base_image")
    return given != SCRATCH and (given is not None or bool(call.news.get("registry")))


def settle_base(call: Call, environment: Environment) -> Any:
    """Return the base to remember, kept while the same is asked for; None without one, unknown as long as inputs are.

    Raises:
        UnsettledError: It cannot be looked up now.
        InvalidInputError: It is not there, or does not fit what goes on it.
    """
    lock = environment.lock
    if lock is None:
        return UNKNOWN
    packages = environment.lock.packages if environment.lock else ()
    gpu, version = call.news.get("enable_gpu"), call.news.get("cuda_version")
    problems = cuda.package_problems(packages, gpu=gpu is True, cuda_version=version, source=_source(call))
    if not asks_for_base(call):
        if problems and not _is_checked(call, None, environment):
            raise InvalidInputError(problems)
        return None
    if not lock.platform.startswith("linux/"):
        text = f"stands below packages for Linux, and these are locked for {lock.platform}; give platform='linux/amd64'"
        raise InvalidInputError([Problem("base_image" if _is_given(call) else "registry", text)])
    choice = _choice(call, environment.spec.python)
    kept = _kept(call, choice, lock.platform)
    if kept is not None and _is_checked(call, kept, environment):
        _say_what_moved(call, kept)
        return kept
    if has_unknown(call.news.get(_ACCESS)):
        return UNKNOWN
    try:
        return _found(call, choice, environment, kept, problems)
    except InvalidInputError:
        raise
    except OperationError as failure:
        if call.cancelled():
            raise
        raise _no_base(call, choice.text, failure) from failure


def base_digest(inputs: Mapping[str, Any]) -> str | None:
    """Return the digest of the base that check settled, or None for an image without one."""
    base = inputs.get("base")
    return str(base["digest"]) if isinstance(base, Mapping) else None


def device_of(inputs: Mapping[str, Any]) -> str:
    """Return the device that an image is for."""
    base = inputs.get("base")
    libraries = {name: base[name] for name in _LIBRARIES if name in base} if isinstance(base, Mapping) else {}
    return cuda.device_of(libraries, gpu=inputs.get("enable_gpu") is True)


def base_reference(inputs: Mapping[str, Any]) -> str | None:
    """Return the reference by digest of the base that check settled, or None for an image without one."""
    base = inputs.get("base")
    if not isinstance(base, Mapping):
        return None
    return str(parse_reference(base["reference"]).at(base["digest"]))


def base_content(call: Call) -> BaseImage | None:
    """Return the base that check settled as what is built needs it; its layers stay where they are.

    Raises:
        OperationError: Its documents are not on this machine, and its registry cannot be asked.
    """
    base = call.news.get("base")
    if not isinstance(base, Mapping):
        return None
    reference = parse_reference(base["reference"])
    documents = base_images(call).documents(reference.at(base["digest"]), base["platform"])
    layers = tuple(
        {"digest": layer.digest, "mediaType": layer_type(layer.media_type), "size": layer.size}
        for layer in documents.manifest.layers
    )
    return BaseImage(
        Base(
            digest=base["digest"],
            layers=layers,
            diff_ids=documents.config.diff_ids,
            env=documents.config.env,
            name=str(reference),
            python=base.get("interpreter", "python3"),
            labels=documents.config.labels,
        )
    )


def base_logins(inputs: Mapping[str, Any]) -> dict[str, Login]:
    """Return who the program says that we are to the base's registry."""
    access = inputs.get(_ACCESS)
    if not isinstance(access, Mapping) or access.get("username") is None or has_unknown(access):
        return {}
    registry = parse_reference(f"{access['address']}/x").registry
    return {registry: Login.by_password(access["username"], access["password"])}


def base_images(call: Call) -> BaseImages:
    """Return the base images of registries, asked as the program says."""
    from pulumi_mlserve.clients.images.base_images import BaseImages  # noqa: PLC0415  # many images stand on none

    folder = cache_folder("bases")
    return BaseImages(folder, base_logins(call.news), progress=call.status, cancelled=call.cancelled)


def _found(
    call: Call, choice: BaseChoice, environment: Environment, kept: Mapping[str, str] | None, problems: list[Problem]
) -> dict[str, str]:
    images, lock = base_images(call), environment.lock
    assert lock is not None
    if kept is None:
        call.status("looking for the base image")
        reference = choice.reference or run_image(choice.run, choice.address)
        found = images.find(reference, lock.platform)
        index, digest = found.index, found.digest
    else:
        reference, index, digest = parse_reference(kept["reference"]), kept["index"], kept["digest"]
    image = reference.at(digest)
    documents = images.documents(image, lock.platform)
    if _OURS in documents.config.labels:
        raise InvalidInputError([Problem(_place(call), _made_by_us(documents, reference))])
    system = images.system(image, documents)
    folder = workplace(call.settings).resolver.install(lock, progress=call.status, cancelled=call.cancelled)
    load = Load(
        base=str(reference),
        given=_is_given(call),
        python=environment.spec.python,
        platform=lock.platform,
        packages=lock.packages,
        floors=base_fit.glibc_floors(wheel_tags(folder)),
        gpu=call.news.get("enable_gpu"),
        cuda_version=call.news.get("cuda_version"),
        source=_source(call),
        of_base=tuple(call.news.get("base_packages") or ()),
    )
    problems = [*problems, *base_fit.fit_problems(system, load), *cuda.base_problems(system.libraries, load)]
    if problems:
        raise InvalidInputError(problems)
    _say_what_is_odd(call, system, load)
    python = system.python(load.python)
    facts = {
        "asked": choice.text,
        "reference": str(reference),
        "index": index,
        "digest": digest,
        "platform": lock.platform,
        "system": system.name,
        "glibc": system.glibc,
        "python": python.version if python else "",
        "interpreter": python.path if python else "",
        **system.libraries,
    }
    made = {name: value for name, value in facts.items() if value}
    if kept is None:
        call.info(f"base image: {image}{_described(made)}")
    return made


def _no_base(call: Call, asked: str, failure: OperationError) -> InvalidInputError | UnsettledError:
    at = "base_image" if _is_given(call) else "registry"
    if isinstance(failure, NotThereError):
        return InvalidInputError([Problem(at, f"{asked} is not there: {failure}{_instead(call)}")])
    return UnsettledError(Problem(at, f"{asked} cannot be looked up: {failure}{_instead(call)}"))


def _choice(call: Call, python: str) -> BaseChoice:
    if not _is_given(call):
        return base_choice(default_base(python))
    access = call.news.get(_ACCESS)
    address = access.get("address") if isinstance(access, Mapping) else None
    return base_choice(call.news["base_image"], address if isinstance(address, str) else "")


def _kept(call: Call, choice: BaseChoice, platform: str) -> dict[str, str] | None:
    base = call.olds.get("base")
    if not isinstance(base, Mapping) or "base_image" in (call.news.get("upgrade") or ()):
        return None
    same = base.get("asked") == choice.text and base.get("platform") == platform
    return {str(name): str(value) for name, value in base.items()} if same else None


def _is_checked(call: Call, base: Mapping[str, str] | None, environment: Environment) -> bool:
    """Return whether the last run found that these packages fit this base."""
    settings = ("base_packages", "cuda_version", "enable_gpu")
    same = all(call.olds.get(name) == call.news.get(name) for name in settings)
    lock = environment.lock.text if environment.lock is not None else ""
    locked = (call.olds.get("lock"), call.olds.get("requirements")) == (lock, environment.requirements)
    return same and locked and isinstance(call.olds.get("recipe"), str) and call.olds.get("base") == base


def _say_what_moved(call: Call, kept: Mapping[str, str]) -> None:
    reference = parse_reference(kept["reference"])
    images = base_images(call)
    try:
        moved = images.moved(reference, kept["index"])
    except OperationError as failure:
        call.info(f"whether {reference} is another image by now cannot be told: {failure}; the image keeps its base")
        return
    if moved is not None:
        call.info(
            f"{reference} is another image by now, {_digits(moved)}: the image keeps the base it was made with, "
            f"{_digits(kept['index'])}, until upgrade=['base_image']"
        )


def _say_what_is_odd(call: Call, system: BaseSystem, load: Load) -> None:
    if system.unread:
        call.warn(
            f"{len(system.unread)} layers of {load.base} were not looked into, since they are too large or packed in a "
            "way that cannot be read here: whether it has the right Python is known only where it runs"
        )
    for folder in system.ours:
        call.warn(f"{load.base} has files in /{folder} already, which will lie beside those of the image")


def _made_by_us(documents: BaseDocuments, reference: Reference) -> str:
    below = documents.config.labels.get("org.opencontainers.image.base.name")
    other = f"give the base below it, {below!r}" if below else "give an image with Python alone"
    return f"is a scoring image itself, got {str(reference)!r}; {other}"


def _described(base: Mapping[str, str]) -> str:
    words = [base.get("system", ""), f"Python {base['python']}" if "python" in base else ""]
    words += [f"glibc {base['glibc']}" if "glibc" in base else "", f"CUDA {base['cuda']}" if "cuda" in base else ""]
    told = ", ".join(filter(None, words))
    return f" ({told})" if told else ""


def _instead(call: Call) -> str:
    if _is_given(call):
        return ""
    return "; it is the default for images in a registry: give base_image for another, or 'scratch' for none"


def _is_given(call: Call) -> bool:
    return call.news.get("base_image") is not None


def _place(call: Call) -> str:
    return "base_image" if _is_given(call) else "python_version"


def _source(call: Call) -> str:
    return "conda_file" if call.news.get("conda_file") is not None else "requirements_file"


def _digits(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT]
