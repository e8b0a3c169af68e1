"""``Image``: dependencies, runtime, code and models become layers in the local image store."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any, Final

from pulumi_mlserve.clients.images.image_records import ImageWords
from pulumi_mlserve.core.problems import InvalidInputError, OperationError
from pulumi_mlserve.provider.call import Call, Checked, Found
from pulumi_mlserve.provider.image_changes import say_that_the_lock_is_the_stacks, say_what_changes
from pulumi_mlserve.provider.image_environment import has_committed_lock, read_environment
from pulumi_mlserve.provider.image_given import digests_of, is_source_here, models_of, without_sample
from pulumi_mlserve.provider.image_plan import content_of, plan_image
from pulumi_mlserve.provider.image_problems import script_problems, spec_problems_of
from pulumi_mlserve.provider.image_samples import samples_of
from pulumi_mlserve.provider.image_trial import try_image
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown, known
from pulumi_mlserve.provider.workplace import workplace

# What decides on the bytes of an image: while one of them is not known, nothing about the image is.
_DECIDES: Final = (
    "conda_file",
    "entry_script",
    "environment_variables",
    "features",
    "name",
    "python_version",
    "requirements_file",
    "samples",
    "standins",
    "upgrade",
)
_COMPUTED: Final = frozenset({"requirements", "lock", "layers", "recipe", "runtime", "compiler"})


class ImageHandler:
    """Checks and tries an image before anything is touched, then builds what is not built yet."""

    compared = (
        "name",
        "layers",
        "recipe",
        "entry_script",
        "environment_variables",
        "features",
        "samples",
        "trial",
        "tags",
        "properties",
        "description",
    )
    replaced = ("name",)

    def check(self, call: Call) -> Checked:
        """Read everything that goes in, and compute what each layer is made from."""
        given = {name: value for name, value in known(call.news).items() if name not in _COMPUTED}
        given["models"] = [known(model) for model in models_of(call) if isinstance(model, Mapping)]
        problems = spec_problems_of(given, call)
        if not is_source_here(call):
            kept = {name: call.olds[name] for name in (*_COMPUTED, "samples") if name in call.olds}
            given = {"samples": samples_of(call.news)} if "samples" in call.news else {}
            return Checked({**call.news, **kept, **given}, problems)
        inputs = {**call.news, "samples": samples_of(call.news)}
        environment = None
        unknown_server = has_unknown(digests_of(call)) and "entry_script" not in call.news
        if unknown_server or has_unknown([call.news.get(name) for name in _DECIDES]):
            problems += script_problems(call, None)
        else:
            wrong = {problem.top for problem in problems}
            try:
                environment = read_environment(call, {n: v for n, v in given.items() if n not in wrong})
            except InvalidInputError as invalid:
                problems += invalid.problems
            problems += script_problems(call, environment)
        if problems or environment is None:
            return Checked(inputs | dict.fromkeys(_COMPUTED, UNKNOWN), problems)
        inputs["requirements"] = environment.requirements
        inputs["lock"] = UNKNOWN if environment.lock is None else environment.lock.text
        if environment.lock is None or has_unknown([digests_of(call), inputs["samples"]]):
            return Checked(inputs | dict.fromkeys(("layers", "recipe", "runtime", "compiler"), UNKNOWN))
        plan = plan_image(call, environment, inputs["samples"])
        inputs |= {"runtime": plan.inputs.runtime_digest, "compiler": plan.inputs.compiler or ""}
        inputs["layers"] = {layer.name: layer.key for layer in plan.layers}
        return Checked(inputs | {"recipe": plan.recipe})

    def drift(self, call: Call) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: an image cannot change."""
        return {}

    def deletes_first(self, call: Call) -> bool:  # noqa: ARG002
        """Both can be at a time."""
        return False

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Try it, then build it."""
        outputs = self._make(call)
        if not call.preview and not has_committed_lock(call.news):
            say_that_the_lock_is_the_stacks(call)
        call.status("")  # else the last line said stays beside a finished image
        return str(call.news["name"]), outputs

    def update(self, call: Call) -> dict[str, Any]:
        """Try and build the new image; the old one stays while a service runs it."""
        say_what_changes(call)
        outputs = self._make(call)
        call.status("")
        return outputs

    def read(self, call: Call) -> Found:
        """Look whether the image is still in the store."""
        digest = call.state.get("digest")
        if digest is None or workplace(call.settings).images.look_up(str(digest)) is None:
            return Found("", {}, {})
        return Found(call.id, dict(call.state), dict(call.news))

    def delete(self, call: Call) -> None:
        """Release every image this resource made; the bytes go with the last claim."""
        place, name = workplace(call.settings), str(call.olds.get("name") or call.state.get("name"))
        owner, images = call.state.get("owner", ""), place.images
        mine = [i.digest for i in images.list(name) if images.is_claimed(name, i.digest, call.claimant, owner=owner)]
        alone = [digest for digest in mine if set(place.images.claims(name, digest)) == {call.claimant}]
        users = sorted({user for digest in alone for user in place.records.users_of_image(digest)})
        if users:
            raise OperationError(
                f"image {name!r} is in use by {', '.join(users)}; remove or update these services first"
            )
        for digest in mine:
            images.remove(name, digest, claimant=call.claimant, owner=owner, in_use=place.records.users_of_image)

    def _make(self, call: Call) -> dict[str, Any]:
        news = call.news
        models = UNKNOWN if has_unknown(digests_of(call)) else [without_sample(m) for m in news.get("models") or ()]
        outputs = {"name": news["name"], "recipe": news.get("recipe", UNKNOWN), "lock": news.get("lock", UNKNOWN)}
        outputs |= {"models": models, "python": UNKNOWN, "contract": UNKNOWN}
        outputs |= {"digest": UNKNOWN, "reference": UNKNOWN, "size": UNKNOWN}
        if has_unknown([news.get("recipe", UNKNOWN), digests_of(call)]):
            return outputs
        if call.olds.get("recipe") == news["recipe"] and _tried(call.olds) == _tried(news) and call.preview:
            return {**outputs, **call.state, "models": models}
        try:
            plan, content = content_of(call)
        except OperationError as failure:
            if not call.preview or news.get("trial") == "required":
                raise
            call.warn(f"the image was not tried: {failure}")
            return outputs
        verdict = try_image(call, plan, content)
        contract = verdict.contract if verdict is not None else None
        if verdict is not None and not verdict.samples:
            call.info("there is no sample request: a service is ready as soon as init has returned; give samples=[…]")
        outputs |= {"python": plan.inputs.python, "contract": contract or {"schema": 1, "source": "none"}}
        if call.preview:
            return outputs
        owner = call.state.get("owner") or secrets.token_hex(8)
        built = workplace(call.settings).images.build(
            plan,
            dataclasses.replace(content, contract=contract, words=_words(news)),
            claimant=call.claimant,
            owner=owner,
            progress=call.status,
            cancelled=call.cancelled,
        )
        return {**outputs, "digest": built.digest, "reference": built.reference, "size": built.size, "owner": owner}


def _words(news: Mapping[str, Any]) -> ImageWords:
    return ImageWords(dict(news.get("tags") or {}), dict(news.get("properties") or {}), news.get("description") or "")


def _tried(inputs: Mapping[str, Any]) -> bool:
    return bool(inputs.get("trial", "auto") != "off")
