"""Who runs the workload: text in, a user or an error out."""

from hypothesis import example, given
from hypothesis import strategies as st

from pyinit.workload import user

WORDS = st.one_of(
    st.text(st.characters(exclude_categories=())),  # surrogates, too: bytes that are no UTF-8
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
    """Nothing else is raised, and the text of the error has the part that is wrong."""
    try:
        found = user.find(text)
    except ValueError as error:
        wrong = {f"there is no user '{text.partition(':')[0]}'", f"there is no group '{text.partition(':')[2]}'"}
        assert str(error) in wrong
    else:
        assert found.text == text
