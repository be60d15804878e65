"""Keywords into XMP and out again: what others wrote stays, byte for byte."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sidecars import DC, IN_STYLE_OF, LR, RDF

from flowers_onnx.sidecar.merge import Keywords, merge
from flowers_onnx.sidecar.xmp import XmpError

DAHLIA = Keywords(("dahlia", "Dahlia spp."), ("Flora|Asteraceae|Dahlia spp.",))
ROSE = Keywords(("rosa & <más>", "Rosa"), ("Flora|Rosaceae|Rosa",))
NOTHING = Keywords()
SUBJECT, TREE = f"{{{DC}}}subject", f"{{{LR}}}hierarchicalSubject"


def words(content: bytes, name: str = SUBJECT) -> list[str]:
    """By a parser that has nothing to do with ours."""
    if b"ISO-8859-1" not in content:
        wide = {b"\xff\xfe\0\0": "utf-32", b"\xff\xfe": "utf-16", b"\0<": "utf-16-be"}
        encoding = next((wide[mark] for mark in wide if content.startswith(mark)), "utf-8-sig")
        content = content.decode(encoding).encode()
    items = ET.fromstring(content).iterfind(f".//{name}/*/{{{RDF}}}li")
    return [item.text or "" for item in items]


def holds(before: bytes, after: bytes, keywords: Keywords) -> None:
    """What must be true of every merge."""
    assert merge(after, keywords) == after
    assert merge(after, NOTHING) == before
    assert merge(after, ROSE) == merge(before, ROSE)
    for name, new in ((SUBJECT, keywords.flat), (TREE, keywords.tree)):
        theirs = words(before, name) if before else []
        assert sorted(words(after, name)) == sorted({*theirs, *new})


@pytest.mark.parametrize("style", IN_STYLE_OF)
def test_others_keep_every_byte(style: str) -> None:
    before = IN_STYLE_OF[style]
    after = merge(before, DAHLIA)
    holds(before, after, DAHLIA)


def test_a_new_file_goes_when_nothing_is_known_any_more() -> None:
    holds(b"", merge(b"", DAHLIA), DAHLIA)
    assert merge(b"", NOTHING) == b""


def test_what_was_there_before_is_never_ours() -> None:
    before = IN_STYLE_OF["exiftool"].replace(b"one &amp; two", b"dahlia")
    after = merge(before, DAHLIA)
    assert words(after) == ["dahlia", "Dahlia spp."]
    assert words(merge(after, ROSE)) == ["dahlia", "rosa & <más>", "Rosa"]
    assert merge(merge(after, ROSE), NOTHING) == before
    everything = Keywords(("dahlia",), ())
    assert merge(before, everything) == before


def test_what_somebody_takes_out_stays_out_as_long_as_the_answer_is_the_same() -> None:
    after = merge(b"", DAHLIA)
    corrected = after.replace(b"<rdf:li>dahlia</rdf:li>", b"<rdf:li>Cactus</rdf:li>", 1)
    assert merge(corrected, DAHLIA) == corrected
    assert words(merge(corrected, ROSE)) == ["Cactus", "rosa & <más>", "Rosa"]


def test_other_programs_may_write_it_anew() -> None:
    """As Exiv2 does, with attributes and one description for all."""
    after = merge(IN_STYLE_OF["exiftool"], DAHLIA).decode()
    start = after.index("<rdf:RDF")
    rewritten = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/">{after[start : after.index(">", start) + 1]}
 <rdf:Description rdf:about='' xmlns:lr='{LR}' xmlns:dc='{DC}' xmlns:t='urn:t/'
   xmlns:own='urn:flowers-onnx:sidecar/1.0/' own:answer = "old" t:x='1'>
  <own:subject><rdf:Bag><rdf:li>old</rdf:li></rdf:Bag></own:subject>
  <dc:subject><rdf:Seq><rdf:li>theirs</rdf:li><rdf:li>old</rdf:li></rdf:Seq></dc:subject>
  <lr:hierarchicalSubject><rdf:Bag/></lr:hierarchicalSubject>
 </rdf:Description></rdf:RDF></x:xmpmeta>""".encode()
    changed = merge(rewritten, DAHLIA)
    assert words(changed) == ["theirs", "dahlia", "Dahlia spp."]
    without = merge(changed, NOTHING)
    assert words(without) == ["theirs"]
    assert b"t:x='1'" in without
    assert b"answer" not in without


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)


def in_description(text: str) -> bytes:
    return (
        f"<rdf:RDF xmlns:rdf='{RDF}'><rdf:Description rdf:about='' xmlns:dc='{DC}'>{text}"
        "</rdf:Description></rdf:RDF>"
    ).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b" ", "well-formed"),
        (b"\xff\xd8\xff\xe0 a photo", "UTF-8"),
        (IN_STYLE_OF["digikam"][:-40], "well-formed"),
        (IN_STYLE_OF["digikam"] + b"\0", "well-formed"),
        (IN_STYLE_OF["latin-1"].replace(b"ISO-8859-1", b"UTF-8"), "UTF-8"),
        (IN_STYLE_OF["darktable"].replace(b"UTF-8", b"UTF-7"), "UTF-7"),
        (IN_STYLE_OF["darktable"].replace(b"UTF-8", b"UTF-16"), "UTF-16"),
        (IN_STYLE_OF["darktable"].replace(b"UTF-8", b"klingon"), "klingon"),
        (BOMB + in_description("<dc:subject>&c;</dc:subject>"), "document type"),
        (in_description("&nbsp;"), "well-formed"),
        (in_description("<x:y/>"), "well-formed"),
        (b"<html/>", "rdf:RDF"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", "rdf:RDF"),
        (in_description("<dc:subject>rose</dc:subject>"), "list"),
        (in_description("<dc:subject rdf:resource='urn:x'/>"), "list"),
        (in_description("<dc:subject rdf:parseType='Resource'/>"), "list"),
        (in_description("<dc:subject><rdf:Description/></dc:subject>"), "list"),
        (in_description("<dc:subject><rdf:Bag/><rdf:Bag/></dc:subject>"), "list"),
        (in_description("").replace(b"about=''", b"about='' dc:subject='x'"), "list"),
        (in_description("<dc:subject xmlns:rdf='urn:else'/>"), "list"),
    ],
)
def test_what_is_no_xmp_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(XmpError, match=reason):
        merge(content, DAHLIA)


def test_deep_and_large_files_take_no_more_than_their_share() -> None:
    deep = in_description("<dc:deep>" * 5_000 + "</dc:deep>" * 5_000)
    assert merge(merge(deep, DAHLIA), NOTHING) == deep
    many = in_description("<dc:subject><rdf:Bag>" + "<rdf:li/>" * 2_000 + "</rdf:Bag></dc:subject>")
    after = merge(many, DAHLIA)
    assert merge(after, NOTHING) == many
    attributes = " ".join(f"a{number}=''" for number in range(10_001))
    for endless in ("<dc:subject/>" * 10_001, f"<dc:subject {attributes}/>"):
        with pytest.raises(XmpError, match="too many"):
            merge(in_description(endless), DAHLIA)


def test_a_list_of_ours_that_we_never_wrote_is_not_believed() -> None:
    ours = "<o:subject xmlns:o='urn:flowers-onnx:sidecar/1.0/'><rdf:Bag>{}</rdf:Bag></o:subject>"
    believed = in_description(ours.format("<rdf:li>a</rdf:li>"))
    assert words(merge(believed, DAHLIA)) == ["dahlia", "Dahlia spp."]
    with pytest.raises(XmpError, match="what we added"):
        merge(in_description(ours.format("<rdf:li>a</rdf:li>" * 17)), DAHLIA)


@pytest.mark.parametrize("name", ["\x01 a\n b\ud800", "]]>", "日本", "a\u2028b", "x" * 70_000])
def test_any_name_can_be_a_keyword(name: str) -> None:
    for style in ("digikam", "latin-1", "utf-16"):
        before = IN_STYLE_OF[style]
        after = merge(before, Keywords((name,), (f"Flora|{name}",)))
        assert merge(after, Keywords((name,), (f"Flora|{name}",))) == after
        assert merge(after, NOTHING) == before
        assert len(words(after)) == len(words(before)) + 1


#: Lists as others leave them, with {p} for the prefix of RDF.
LISTS = st.sampled_from(
    [
        "",
        "<dc:subject/>",
        "<dc:subject />",
        "<dc:subject></dc:subject>",
        "<dc:subject>\n <!-- none -->\n</dc:subject >",
        "<dc:subject><{p}Bag/></dc:subject>",
        "<dc:subject xml:lang='de'><{p}Seq></{p}Seq></dc:subject>",
        "<dc:subject><{p}Alt\n/></dc:subject>",
        "<dc:subject><{p}Bag><?pi ?></{p}Bag></dc:subject>",
        "<dc:subject><{p}Bag><{p}li>dahlia</{p}li></{p}Bag></dc:subject>",
        "<dc:subject>\n\t<{p}Bag>\n\t\t<{p}li>b</{p}li><!--c-->\n\t</{p}Bag>\n</dc:subject>",
        "<dc:subject><{p}Bag><{p}li><![CDATA[<a>]]></{p}li><{p}_2>c</{p}_2></{p}Bag></dc:subject>",
        "<dc:subject><{p}Bag><{p}li {p}resource='urn:x'/></{p}Bag></dc:subject>",
    ]
)
FOREIGN = st.sampled_from(
    ["", "<!-- x -->", "\n  ", "<x:y xmlns:x='urn:x'>&#65;<x:z/></x:y>", "\r\n"]
)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    prefix = draw(st.sampled_from(["rdf:", "r:", ""]))
    declared = f"xmlns{':' * bool(prefix)}{prefix[:-1]}='{RDF}'"
    about = f" {prefix}about='{draw(st.sampled_from(['', 'uuid:1', '&lt;']))}'" if prefix else ""
    parts = []
    for one in draw(st.lists(LISTS, max_size=2)):
        for name, uri in (("dc:subject", DC), ("dc:hierarchicalSubject", LR)):
            content = draw(FOREIGN)
            if draw(st.booleans()):
                content += one.replace("dc:subject", name).format(p=prefix) + draw(FOREIGN)
            opened = f"{prefix}Description{about} xmlns:dc='{uri}'"
            parts += [draw(FOREIGN), f"<{opened}>{content}</{prefix}Description>"]
    inner = "".join([*parts, draw(FOREIGN)])
    text = f"<{prefix}RDF {declared}>{inner}</{prefix}RDF>"
    if not inner and draw(st.booleans()):
        text = f"<{prefix}RDF {declared}/>"
    if draw(st.booleans()):
        text = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{draw(FOREIGN)}{text}</x:xmpmeta>"
    if draw(st.booleans()):
        text = f"<?xpacket begin='\ufeff'?>{text}\n{' ' * 40}\n<?xpacket end='w'?>"
    if draw(st.booleans()):
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])))


@given(before=packets())
def test_out_again_is_as_before(before: bytes) -> None:
    after = merge(before, DAHLIA)
    assert merge(after, DAHLIA) == after
    assert merge(after, NOTHING) == before
    assert merge(after, ROSE) == merge(before, ROSE)
    for name, new in ((SUBJECT, DAHLIA.flat), (TREE, DAHLIA.tree)):
        assert set(words(after, name)) >= set(new)
        theirs = words(before, name)
        for word in theirs:
            assert words(after, name).count(word) == theirs.count(word)


@given(packets(), st.integers(0, 5_000), st.integers(0, 3), st.binary(max_size=4))
def test_damage_is_refused_or_kept(before: bytes, at: int, cut: int, put: bytes) -> None:
    at %= len(before)
    damaged = before[:at] + put + before[at + cut :]
    try:
        after = merge(damaged, DAHLIA)
    except XmpError:
        return
    assert merge(after, DAHLIA) == after
    if damaged:
        assert merge(after, NOTHING) == damaged
