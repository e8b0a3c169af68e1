"""Environment files as editors and shells write them: with marks at their beginning, in UTF-16."""

from __future__ import annotations

import codecs

import pytest

from pulumi_mlserve.clients.environments.environment_files import environment_file, spec_of
from pulumi_mlserve.core.environments.index_options import has_credentials
from pulumi_mlserve.core.problems import InvalidInputError

FILES = {
    "requirements.txt": "numpy==1.26.4\r\n-r more.txt\r\n",
    "pyproject.toml": "[project]\nname = 'a'\ndependencies = ['numpy==1.26.4']\n",
    "env.yml": "dependencies:\n- python=3.11\n- numpy==1.26.4\n",
    "pylock.toml": (
        "lock-version = '1.0'\n[[packages]]\nname = 'numpy'\nversion = '1.26.4'\n"
        f"wheels = [{{hashes = {{sha256 = '{'0' * 64}'}}}}]\n"
    ),
}


def asked(folder, name: str):
    """Return what a file of a folder asks for."""
    setting = "conda_file" if name.endswith(".yml") else "requirements_file"
    return spec_of(environment_file({setting: str(folder / name)}))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_a_file_is_read_as_its_mark_says(tmp_path, name, mark, encoding):
    """Those that it names, too, each by its own."""
    (tmp_path / name).write_bytes(mark + FILES[name].encode(encoding))
    (tmp_path / "more.txt").write_bytes(mark + b"" + "# é\njoblib\n".encode(encoding))
    spec = asked(tmp_path, name)

    assert "numpy==1.26.4" in spec.requirements
    assert ("joblib" in spec.requirements) is (name == "requirements.txt")
    assert spec.origins["numpy==1.26.4"].startswith(f"{tmp_path / name}:")


def test_a_password_in_a_file_of_another_encoding_is_found(tmp_path):
    """It would go into the image all the same."""
    (tmp_path / "requirements.txt").write_text("-i https://u:p@h.example/s\n", encoding="utf-16")

    assert has_credentials(environment_file({"requirements_file": str(tmp_path / "requirements.txt")}).text)


@pytest.mark.parametrize("content", [b"numpy\xe9\n", "numpy\n".encode("utf-16-le"), codecs.BOM_UTF16_LE + b"abc"])
@pytest.mark.parametrize("name", ["requirements.txt", "more.txt"])
def test_a_file_that_is_no_text_is_refused_with_what_to_do(tmp_path, name, content):
    """UTF-16 without a mark looks like text with a zero behind each letter."""
    (tmp_path / "requirements.txt").write_text("-r more.txt\n")
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidInputError, match="it is neither UTF-8 nor marked UTF-16; save it as UTF-8"):
        asked(tmp_path, "requirements.txt")
