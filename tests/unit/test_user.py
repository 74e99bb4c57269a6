"""The user of the workload: text in, a user or an error out."""

from hypothesis import example, given
from hypothesis import strategies as st

from pyinit.workload import user

WORDS = st.one_of(
    st.text(st.characters(exclude_categories=())),  # including surrogates: bytes that are not UTF-8
    st.integers().map(str),
    st.sampled_from(["root", "daemon", "0", "", "\0", "-"]),
)


@given(WORDS | st.builds("{}:{}".format, WORDS, WORDS))
@example("4294967295")
@example("4294967294")
@example("0" * 11)
@example("\udcff:\udcff")
@example("root:" + "9" * 5000)
def test_any_text_is_a_user_or_an_error_that_names_it(text: str) -> None:
    """There is no other exception, and the error names the part that is wrong."""
    try:
        found = user.find(text)
    except ValueError as error:
        wrong = {f"there is no user '{text.partition(':')[0]}'", f"there is no group '{text.partition(':')[2]}'"}
        assert str(error) in wrong
    else:
        assert found.text == text
