"""What people call regions: a file for the whole city, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kanhu.care.rules.values import Words
from kanhu.errors import ConfigError
from kanhu.web.regions import read_names


def test_each_code_has_a_name_in_both_languages(tmp_path: Path) -> None:
    path = tmp_path / "regions.toml"
    path.write_text(
        '"cn/42" = { en = "Hubei", zh = "湖北" }\ncn = { zh = "中国" }\n["cn/42/01"]\nen = "Wuhan"\n', "utf-8"
    )
    assert read_names(path) == {
        "cn/42": Words("Hubei", "湖北"),
        "cn": Words("中国", "中国"),
        "cn/42/01": Words("Wuhan", "Wuhan"),
    }
    assert read_names(None) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('"cn/42" = "Hubei"', '"cn/42" must be'),
        ('"cn/42" = {}', '"cn/42" must be'),
        ('"cn/42" = { en = "Hubei", de = "Hubei" }', '"cn/42" must be'),
        ('"cn/42" = { en = " " }', '"cn/42" must be'),
        ('"cn/42" = { en = 42 }', '"cn/42" must be'),
        (f'"cn/42" = {{ en = "{"x" * 61}" }}', '"cn/42" must be'),
        ('"Wuhan 42" = { en = "Wuhan" }', "must be a path"),
        ('"" = { en = "Nowhere" }', "without a region"),
        ('cn/42 = { en = "Hubei" }', "line 1"),
        ('cn.en = "a"\ncn.en = "b"', "overwrite"),
    ],
)
def test_what_is_wrong_is_said_with_the_files_name(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "regions.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=rf"desk\.region_names .*regions\.toml.*{why}"):
        read_names(path)


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_names(tmp_path / "none.toml")
    (tmp_path / "latin").write_bytes(b'cn = { en = "\xff" }')
    with pytest.raises(ConfigError, match="utf-8"):
        read_names(tmp_path / "latin")
