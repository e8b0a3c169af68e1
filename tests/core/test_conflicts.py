"""Facts about reading the resolver's failures; the texts are uv's own."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.environments.conflicts import explain_conflict, module_advice, read_failure

HEAD = "error: No solution found when resolving dependencies\n  cause: "
ORIGINS = {
    "scipy==1.9.2": "env.yml:5",
    "numpy>=2": "env.yml:6",
    "uvloop>=0.20": "the runtime",
    "uvloop<0.20": "env.yml:7",
}
NESTED = """Because a==1 depends on b and b has no usable wheels, we can conclude that a==1 cannot be used.
         And because you require a==1, we can conclude that your requirements are unsatisfiable.
"""
ONLY = """Because only native==1.0 is available and native==1.0 has no wheels with a matching platform tag (e.g.,
`manylinux_2_28_aarch64`), we can conclude that all versions of native cannot be used.
         And because you require native, we can conclude that your requirements are unsatisfiable.
"""
DENIED = """Because a was not found in the package registry and you require a, we can conclude that X.

hint: An index URL ({url}) could not be queried due to a lack of valid authentication credentials (401 Unauthorized)
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "Because numpy==1.15.0 has no usable wheels and you require numpy==1.15.0, we can conclude that X.\n",
            ("no wheel", "numpy==1.15.0"),
        ),
        (
            "Because all versions of sklearn have no usable wheels and you require sklearn, we can conclude that X.",
            ("no wheel", "sklearn"),
        ),
        (
            "Because there is no version of numpy==99 and you require numpy==99, we can conclude",
            ("no version", "numpy==99"),
        ),
        ("Because zz was not found in the package registry and you require zz, we can conclude", ("unknown", "zz")),
        (NESTED, ("conflict", "")),
        (ONLY, ("no wheel", "native")),
        ("Because requests was not found in the cache and you require requests, we can", ("offline", "")),
    ],
)
def test_a_failure_is_sorted(said, expected):
    """Each form of uv's account has its kind."""
    failure = read_failure(HEAD + said)

    assert (failure.kind, failure.wanted) == expected


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "error: Failed to fetch: {url}\n  cause: error sending request for url ({url})\n  cause: dns error",
            "offline",
        ),
        (
            "error: Failed to fetch: {url}\n  cause: HTTP status server error (503 Unavailable) for url ({url})",
            "offline",
        ),
        (HEAD + DENIED, "denied"),
        ("error: something else at {url}", "other"),
    ],
)
def test_no_address_survives(said, kind):
    """Neither host nor password of an index is ever shown."""
    failure = read_failure(said.format(url="https://user:hunter2@index.example/simple/a/"))

    assert failure.kind == kind
    assert "hunter2" not in failure.text
    assert "index.example" not in failure.text


def test_a_conflict_names_both_sides_and_leaves_conclusions_out():
    """What packages need, what is asked for and where."""
    said = (
        "Because scipy==1.9.2 depends on numpy>=1.18.5,<1.26.0 and you require numpy>=2, we can conclude that your "
        "requirements and scipy==1.9.2 are incompatible.\n"
        "         And because you require scipy==1.9.2, we can conclude that your requirements are unsatisfiable.\n"
    )

    assert explain_conflict(HEAD + said, ORIGINS, "3.11") == (
        "the packages cannot be installed together: scipy==1.9.2 (env.yml:5) needs numpy>=1.18.5,<1.26.0; "
        "env.yml:6 asks for numpy>=2; change one of them"
    )


def test_a_conflict_with_the_runtime_names_the_runtime():
    """Two requirements of one package have two places."""
    said = (
        "Because you require uvloop<0.20 and uvloop>=0.20, we can conclude that your requirements are unsatisfiable.\n"
    )

    assert explain_conflict(HEAD + said, ORIGINS, "3.11") == (
        "the packages cannot be installed together: env.yml:7 asks for uvloop<0.20; the runtime asks for uvloop>=0.20; "
        "change one of them"
    )


def test_a_list_of_versions_before_the_conclusion_does_not_let_it_through():
    """Uv then begins the conclusion on a line of its own."""
    said = """Because only the following versions of alpha are available:
             alpha<=1.0
             alpha==2.0
         and alpha>=2.0 depends on beta>=2 and you require alpha==2.0
         we can conclude that you require beta>=2.
         And because you require beta<2, we can conclude that your requirements are unsatisfiable.
"""

    assert explain_conflict(HEAD + said, {"alpha==2.0": "r.txt:1", "beta<2": "r.txt:2"}, "3.11") == (
        "the packages cannot be installed together: alpha==2.0 (r.txt:1) needs beta>=2; r.txt:2 asks for beta<2; "
        "change one of them"
    )


def test_markers_and_extras_do_not_hide_a_fact():
    """Uv writes markers in braces."""
    said = (
        "Because pandas[x]==2.2.2 depends on numpy{python_full_version < '3.12'}>=1.23.2 and you require "
        "pandas[x]==2.2.2, we can conclude that you require numpy>=1.23.2.\n"
        "         And because you require numpy==1.21, we can conclude that your requirements are unsatisfiable."
    )

    assert explain_conflict(HEAD + said, {"numpy==1.21": "r.txt:1"}, "3.11") == (
        "the packages cannot be installed together: pandas[x]==2.2.2 needs numpy>=1.23.2; r.txt:1 asks for "
        "numpy==1.21; change one of them"
    )


def test_a_package_for_another_python_says_which_python_the_image_has():
    """The Python is one of the sides."""
    said = (
        "Because the requested Python version (>=3.10) does not satisfy Python>=3.11 and ipython==9.9.0 depends on "
        "Python>=3.11, we can conclude that ipython==9.9.0 cannot be used.\n"
        "         And because you require ipython==9.9.0, we can conclude that your requirements are unsatisfiable."
    )

    assert explain_conflict(HEAD + said, {"ipython==9.9.0": "r.txt:1"}, "3.10") == (
        "the packages cannot be installed together: ipython==9.9.0 (r.txt:1) needs Python>=3.11; the image has Python "
        "3.10; change one of them"
    )


def test_an_account_of_a_new_form_is_passed_on():
    """Nothing is swallowed."""
    assert "something new" in explain_conflict("error: something new\n", {}, "3.11")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("pil", "write Pillow, which brings the module of that name"),
        ("sklearn", "write scikit-learn, which brings the module of that name"),
        ("yaml", "write PyYAML, which brings the module of that name"),
        ("mpl-toolkits", "write matplotlib, which brings the module of that name"),
        ("pickle", "take the line out: pickle is part of Python"),
        ("zoneinfo", "take the line out: zoneinfo is part of Python"),
        ("imp", "take the line out: imp was part of Python before 3.12, no package brings it"),
        ("telnetlib", "take the line out: telnetlib is part of Python"),
        ("nosuch", ""),
        ("numpy", ""),
    ],
)
def test_a_module_is_no_package(name, advice):
    """Whoever asks for it by the name in the import statement is told the package's, or that Python has it."""
    assert advice == module_advice(name, "3.12")
