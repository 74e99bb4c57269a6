"""The command line and the environment."""

import re
import signal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyinit.options import help as about
from pyinit.options import table
from pyinit.options.personas import PERSONAS
from pyinit.options.settings import OWN, Settings
from pyinit.options.table import TABLE, UsageError


def parse(*words: str, **environ: str) -> Settings:
    """Parse the words, with a workload appended, and the environment."""
    return table.parse([*words, "--", "true"], {key.encode(): value.encode() for key, value in environ.items()})


def test_options_end_at_the_first_word_that_is_not_an_option() -> None:
    """Everything from PROGRAM on belongs to the workload, including options and ``--``."""
    assert table.parse(["-v", "ls", "-v", "--", "-g"], {}).argv == ["ls", "-v", "--", "-g"]
    assert table.parse(["-v", "--", "-ls", "--"], {}).argv == ["-ls", "--"]
    assert table.parse(["-", "x"], {}).argv == ["-", "x"]
    assert table.parse(["--", "--", "x"], {}).argv == ["--", "x"]


def test_short_options_combine() -> None:
    """``-vvg`` is ``-v -v -g``, and the last one may have an attached value."""
    parsed = parse("-vvge143")
    assert (parsed.verbosity, parsed.forward_to, parsed.exit_remap) == (3, "group", {143: 0})


@pytest.mark.parametrize("words", [["-e143"], ["-e", "143"], ["--remap-exit=143"], ["--remap-exit", "143"]])
def test_a_value_is_attached_or_separate(words: list[str]) -> None:
    """The four spellings mean the same."""
    assert parse(*words).exit_remap == {143: 0}


def test_repeatable_options_add_up() -> None:
    """Each -r and -e adds an entry. The last entry for the same signal counts."""
    assert parse("-r", "TERM:INT", "-r", "HUP:0", "-r", "15:QUIT").rewrite == {15: 3, 1: 0}
    assert parse("-e143", "-e137:3").exit_remap == {143: 0, 137: 3}


@pytest.mark.parametrize("name", ["ABRT", "SEGV", "BUS", "FPE", "ILL", "TRAP", "SYS"])
def test_a_signal_of_a_fault_can_be_rewritten(name: str) -> None:
    """Such a signal can also be sent, and is then forwarded."""
    assert parse("-r", f"{name}:TERM").rewrite == {signal.Signals[f"SIG{name}"]: signal.SIGTERM}


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ([], "child"),
        (["-g"], "group"),
        (["-c"], "child"),
        (["-g", "-c"], "child"),
        (["-c", "-g"], "group"),
        (["--forward-to", "all"], "all"),
        (["--forward-to=all", "-g"], "group"),
        (["--process-group"], "group"),
        (["--single-child"], "child"),
    ],
)
def test_receivers_of_a_signal(words: list[str], target: str) -> None:
    """The last of several flags counts."""
    assert parse(*words).forward_to == target


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        ({"PYINIT_FORWARD_TO": "all"}, "all"),
        ({"PYINIT_FORWARD_TO": ""}, "child"),
        ({"TINI_KILL_PROCESS_GROUP": ""}, "group"),
        ({"TINI_KILL_PROCESS_GROUP": "0"}, "group"),
        ({"DUMB_INIT_SETSID": "0", "TINI_KILL_PROCESS_GROUP": "1"}, "child"),
        ({"DUMB_INIT_SETSID": "1", "TINI_KILL_PROCESS_GROUP": "1"}, "group"),
        ({"TINI_KILL_PROCESS_GROUP": "1", "PYINIT_FORWARD_TO": "all"}, "all"),
    ],
)
def test_variables_for_the_receivers_of_a_signal(environ: dict[str, str], target: str) -> None:
    """pyinit's variable has priority over the peers'. tini's counts even if it is empty."""
    assert parse(**environ).forward_to == target


def test_a_flag_has_priority_over_its_variable() -> None:
    """A repeatable flag replaces the list of the variable, too, and does not extend it."""
    parsed = parse("-c", "-r", "USR1:USR2", "-e", "1", "-v", "--log-format=text",
                   PYINIT_FORWARD_TO="all", PYINIT_REWRITE="TERM:INT", PYINIT_REMAP_EXIT="7",
                   PYINIT_VERBOSITY="0", PYINIT_LOG_FORMAT="json")  # fmt: skip
    assert parsed.forward_to == "child"
    assert parsed.rewrite == {signal.SIGUSR1: signal.SIGUSR2}
    assert parsed.exit_remap == {1: 0}
    assert parsed.verbosity == 2
    assert parsed.json is False


def test_variables_take_lists() -> None:
    """The variable of a repeatable flag is a list separated by commas."""
    parsed = parse(PYINIT_REWRITE="TERM:INT, HUP:0", PYINIT_REMAP_EXIT="143,137:3")
    assert parsed.rewrite == {15: 2, 1: 0}
    assert parsed.exit_remap == {143: 0, 137: 3}


@pytest.mark.parametrize(
    ("words", "environ", "verbosity"),
    [
        ([], {}, 1),
        (["-q"], {}, 0),
        (["-v"], {}, 2),
        (["-vvv"], {}, 4),
        (["-vvvvvv"], {}, 4),
        ([], {"TINI_VERBOSITY": "3"}, 3),
        ([], {"TINI_VERBOSITY": "9"}, 4),
        ([], {"DUMB_INIT_DEBUG": "1"}, 3),
        ([], {"DUMB_INIT_DEBUG": "0"}, 1),
        ([], {"DUMB_INIT_DEBUG": "1", "PYINIT_VERBOSITY": "0"}, 0),
        (["-q"], {"PYINIT_VERBOSITY": "4"}, 0),
    ],
)
def test_verbosity(words: list[str], environ: dict[str, str], verbosity: int) -> None:
    """The default is 1, the maximum 4."""
    assert parse(*words, **environ).verbosity == verbosity


def test_the_remaining_settings() -> None:
    """Each flag and each variable sets what it names."""
    assert parse("-p", "TERM").parent_death_signal == parse(PYINIT_PARENT_DEATH_SIGNAL="15").parent_death_signal == 15
    assert parse("-w").warn_on_reap and parse(PYINIT_WARN_ON_REAP="yes").warn_on_reap
    assert not parse(PYINIT_WARN_ON_REAP="off").warn_on_reap
    assert parse("--log-format", "json").json and parse(PYINIT_LOG_FORMAT="json").json
    assert parse("-s").argv == parse(TINI_SUBREAPER="").argv == ["true"]
    assert parse("--wait-for=all").wait_for == parse(PYINIT_WAIT_FOR="all").wait_for == "all"
    assert parse("--orphans=terminate").orphans == parse(PYINIT_ORPHANS="terminate").orphans == "terminate"
    assert parse("--exit-report=never").exit_report == parse(PYINIT_EXIT_REPORT="never").exit_report == "never"
    assert parse("--termination-log=/a").termination_log == parse(PYINIT_TERMINATION_LOG="/a").termination_log == "/a"


def test_the_defaults_of_the_shutdown() -> None:
    """No stop timeout, a drain timeout of five seconds, and the exit of the workload ends the container."""
    parsed = parse()
    assert (parsed.stop_timeout, parsed.drain_timeout, parsed.wait_for, parsed.orphans) == (None, 5, "main", "keep")
    assert (parsed.exit_report, parsed.termination_log) == ("abnormal", None)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("3", 3), ("0.25", 0.25), (".5", 0.5), ("7.", 7), ("007", 7)])
def test_seconds(text: str, seconds: float) -> None:
    """With or without a fraction, and 0."""
    assert parse("-t", text).stop_timeout == parse(PYINIT_STOP_TIMEOUT=text).stop_timeout == seconds
    parsed = parse(f"--drain-timeout={text}", PYINIT_DRAIN_TIMEOUT="99")
    assert parsed.drain_timeout == seconds
    assert parse(PYINIT_DRAIN_TIMEOUT=text).drain_timeout == seconds


def test_a_relative_termination_log_is_in_the_working_directory_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyinit later changes its working directory to the root. A relative path in a deleted directory is an error."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert parse("--termination-log", "log").termination_log == f"{folder}/log"
    folder.rmdir()
    with pytest.raises(UsageError, match="option --termination-log: 'log' is relative, and there is no"):
        parse("--termination-log", "log")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "no program given"),
        (["-v"], "no program given"),
        (["--"], "no program given"),
        (["-x", "true"], "unknown option -x"),
        (["-vx", "true"], "unknown option -x"),
        (["--nope", "true"], "unknown option --nope"),
        (["--verb", "true"], "unknown option --verb; options are not abbreviated, did you mean --verbose?"),
        (["--stop-timout=3", "true"], "unknown option --stop-timout; did you mean --stop-timeout?"),
        (["--ver", "true"], "did you mean --verbose or --version?"),
        (["--verbose=3", "true"], "option --verbose takes no value"),
        (["-e"], "option -e needs a value: CODE[:TO]"),
        (["--rewrite"], "option --rewrite needs a value: FROM:TO"),
        (["-e", "256", "true"], "option -e: '256' is not an exit status from 0 to 255"),
        (["-e", "-1", "true"], "option -e: '-1' is not an exit status"),
        (["-e", "", "true"], "option -e: '' is not an exit status"),
        (["-e", "1:", "true"], "option -e: '' is not an exit status"),
        (["-e", "1:300", "true"], "option -e: '300' is not an exit status"),
        (["-r", "TERM", "true"], "option -r: 'TERM' is not of the form FROM:TO"),
        (["-r", "TERM:NOPE", "true"], "option -r: there is no signal 'NOPE'"),
        (["-r", "KILL:TERM", "true"], "option -r: SIGKILL cannot be caught"),
        (["-r", "STOP:TERM", "true"], "option -r: SIGSTOP cannot be caught"),
        (["-r", "0:TERM", "true"], "option -r: there is no signal '0'"),
        (["-p", "FOO", "true"], "option -p: there is no signal 'FOO'"),
        (["--forward-to", "me", "true"], "option --forward-to: 'me' is not one of child, group, all"),
        (["-t", "-1", "true"], "option -t: '-1' is not a number of seconds"),
        (["-t", "10s", "true"], "option -t: '10s' is not a number of seconds"),
        (["-t", "inf", "true"], "option -t: 'inf' is not a number of seconds"),
        (["-t.", "true"], "option -t: '.' is not a number of seconds"),
        (["-t", "1e3", "true"], "option -t: '1e3' is not a number of seconds"),
        (["-t", "1.2.3", "true"], "option -t: '1.2.3' is not a number of seconds"),
        (["-t", "\u0663", "true"], "option -t: '\u0663' is not a number of seconds"),
        (["-t", "9" * 10, "true"], "is not a number of seconds"),
        (["--drain-timeout=", "true"], "option --drain-timeout: '' is not a number of seconds"),
        (["--wait-for=some", "true"], "option --wait-for: 'some' is not one of main, all"),
        (["--orphans", "kill", "true"], "option --orphans: 'kill' is not one of keep, terminate"),
        (["--exit-report=yes", "true"], "option --exit-report: 'yes' is not one of never, abnormal, always"),
        (["--termination-log=", "true"], "option --termination-log: '' is not a path"),
        (["--log-format=xml", "true"], "option --log-format: 'xml' is not one of text, json"),
    ],
)
def test_a_malformed_command_line_is_named(words: list[str], complaint: str) -> None:
    """The error names the option, and says what is wrong with it."""
    with pytest.raises(UsageError, match=re.escape(complaint)):
        table.parse(words, {})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PYINIT_FORWARD_TO", "me"),
        ("PYINIT_REWRITE", "TERM"),
        ("PYINIT_REWRITE", "TERM:INT,"),
        ("PYINIT_REMAP_EXIT", "x"),
        ("PYINIT_PARENT_DEATH_SIGNAL", "SIGFOO"),
        ("PYINIT_WARN_ON_REAP", "maybe"),
        ("PYINIT_VERBOSITY", "loud"),
        ("TINI_VERBOSITY", "-1"),
        ("DUMB_INIT_DEBUG", "x"),
        ("DUMB_INIT_SETSID", "x"),
        ("PYINIT_LOG_FORMAT", "JSON"),
        ("PYINIT_STOP_TIMEOUT", "soon"),
        ("PYINIT_DRAIN_TIMEOUT", "5s"),
        ("PYINIT_WAIT_FOR", "MAIN"),
        ("PYINIT_ORPHANS", "1"),
        ("PYINIT_EXIT_REPORT", "1"),
    ],
)
def test_a_malformed_variable_is_named(variable: str, value: str) -> None:
    """It is never ignored, even if a flag has priority."""
    with pytest.raises(UsageError, match=f"^environment variable {variable}: "):
        parse("-c", "-r1:2", "-e1", "-p1", "-w", "-v", "--log-format=text", **{variable: value})


def warnings(**environ: str) -> list[str]:
    """The warnings about environment variables."""
    return [message for is_warning, _, message in parse(**environ).remarks if is_warning]


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("PYINIT_STOP_TIMOUT", "did you mean PYINIT_STOP_TIMEOUT?"),
        ("PYINIT_STOPTIMEOUT", "did you mean PYINIT_STOP_TIMEOUT?"),
        ("PYINIT_TIMEOUT", "did you mean PYINIT_STOP_TIMEOUT?"),
        ("PYINIT_VERBOSE", "did you mean PYINIT_VERBOSITY?"),
        ("PYINIT_PROCESS_GROUP", "did you mean TINI_KILL_PROCESS_GROUP?"),
        ("PYINIT_SUBREAPER", "did you mean TINI_SUBREAPER?"),
        ("PYINIT_drain_timeout", "see pyinit --help"),
        ("PYINIT_GREETING", "see pyinit --help"),
        ("PYINIT_", "see pyinit --help"),
        ("PYINIT_" + "STOP_TIMEOUT" * 100, "see pyinit --help"),
    ],
    ids=lambda value: value[:30],
)
def test_an_unknown_variable_is_a_warning_with_the_nearest_name(variable: str, hint: str) -> None:
    """Otherwise a misspelt variable would be ignored silently."""
    assert warnings(**{variable: "1"}) == [f"unknown environment variable {variable}; {hint}"]
    assert warnings(**{variable: ""}) == []  # counts as not set


def test_unknown_variables_of_other_programs_are_ignored() -> None:
    """Under its own name, pyinit honours some variables of tini and dumb-init, which may have further ones."""
    assert warnings(TINI_VERBOSTY="1", DUMB_INIT_DEBUGG="1", PYINITX="1", XPYINIT_="1") == []


@pytest.mark.parametrize(
    ("name", "variable", "hint"),
    [
        ("tini", "TINI_VERBOSTY", "did you mean TINI_VERBOSITY?"),
        ("tini", "PYINIT_VERBOSTY", "did you mean PYINIT_VERBOSITY?"),
        ("tini", "TINI_GREETING", "see tini --help"),
        ("dumb-init", "DUMB_INIT_SETSIDS", "did you mean DUMB_INIT_SETSID?"),
        ("dumb-init", "PYINIT_SUBREAPER", "see dumb-init --help"),  # tini's is not honoured under that name
        ("catatonit", "PYINIT_PAUSED", "did you mean PYINIT_PAUSE?"),
    ],
)
def test_unknown_variables_of_the_persona_are_warnings_too(name: str, variable: str, hint: str) -> None:
    """Except TINI_VERSION and the like, with which images select a download, as in tini's README."""
    of_images = {f"{prefix}_VERSION".encode(): b"v0.19.0" for prefix in ("TINI", "DUMB_INIT")}
    parsed = table.parse(["true"], {variable.encode(): b"1", **of_images}, PERSONAS[name])
    assert parsed.remarks == [(True, variable, f"unknown environment variable {variable}; {hint}")]


def test_a_variable_that_a_flag_overrides_is_remarked_on() -> None:
    """The remark explains why the variable has no effect. It is not a warning."""
    remarks = parse("-t3", "-vg", PYINIT_STOP_TIMEOUT="9", TINI_KILL_PROCESS_GROUP="", PYINIT_ORPHANS="keep").remarks
    assert sorted(remarks) == [
        (False, "PYINIT_STOP_TIMEOUT", "environment variable PYINIT_STOP_TIMEOUT has no effect: -t overrides it"),
        (
            False,
            "TINI_KILL_PROCESS_GROUP",
            "environment variable TINI_KILL_PROCESS_GROUP has no effect: -g overrides it",
        ),
    ]


@pytest.mark.parametrize(
    ("words", "environ", "is_json"),
    [
        (["--log-format=json", "--nope"], {}, True),
        (["--log-format", "json", "-x", "true"], {}, True),
        (["--nope", "--log-format=json", "true"], {}, True),
        (["-x-", "--log-format=json", "--", "true"], {}, True),
        (["--nope", "5", "--log-format", "json", "--", "true"], {}, True),
        (["-t", "soon", "--log-format=json", "true"], {}, True),
        (["--log-format=json"], {}, True),
        (["--nope"], {"PYINIT_LOG_FORMAT": "json"}, True),
        ([], {"PYINIT_LOG_FORMAT": "json"}, True),
        (["--log-format=json", "true"], {"PYINIT_STOP_TIMEOUT": "soon"}, True),
        (["true"], {"PYINIT_STOP_TIMEOUT": "soon", "PYINIT_LOG_FORMAT": "json"}, True),
        (["--log-format=text", "--nope"], {"PYINIT_LOG_FORMAT": "json"}, False),
        (["--nope", "--log-format=text"], {"PYINIT_LOG_FORMAT": "json"}, True),
        (["--log-format=json", "--nope", "--log-format=text"], {}, True),
        (["--nope", "--log-format=json", "app", "--log-format=text"], {}, True),
        (["--nope", "--", "true", "--log-format=json"], {}, False),
        (["true", "--log-format=json"], {"PYINIT_STOP_TIMEOUT": "soon"}, False),
        (["--log-format=xml"], {}, False),
        (["--nope", "--log-format"], {}, False),
        (["--nope"], {}, False),
    ],
)
def test_a_usage_error_obeys_the_log_format(words: list[str], environ: dict[str, str], is_json: bool) -> None:
    """The flag may be anywhere before the program. One after the malformed word counts if nothing else says it."""
    with pytest.raises(UsageError) as caught:
        table.parse(words, {key.encode(): value.encode() for key, value in environ.items()})
    assert caught.value.settings.json is is_json


def test_an_empty_variable_counts_as_not_set() -> None:
    """Except for two of tini's, which count even if they are empty."""
    names = {variable for option in TABLE for variable, _ in option.twins()} - set(table.SET_AT_ALL)
    assert len(names) >= 9
    bare, emptied = parse(), parse(**dict.fromkeys(names, ""))
    for name in Settings.__slots__:
        assert getattr(bare, name) == getattr(emptied, name)


def test_the_help_is_made_from_the_table(capfd: pytest.CaptureFixture[str]) -> None:
    """It has every heading, option and variable."""
    about.show(parse("--help"))
    text = capfd.readouterr().out
    lines, words = text.splitlines(), " ".join(text.split())
    for option in TABLE:
        assert f"--{option.long}" in text
        assert not option.short or f"-{option.short}, " in text
        assert option.text in words
        for variable, _ in option.twins():
            assert variable in text
    assert all(f"{heading}:" in lines for heading in table.HEADINGS.values())


@pytest.mark.parametrize("name", ["pyinit", *PERSONAS])
def test_the_help_shows_the_default_of_each_option_with_a_value(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """As it would be written; those of a peer by its name."""
    persona = PERSONAS.get(name, OWN)
    settings = table.parse(["--help"], {}, persona)
    about.show(settings)
    shown = capfd.readouterr().out
    for option in table.rows(persona):
        if default := about.default_of(option, persona):
            assert option.convert and option.field
            assert option.convert(default) == getattr(settings, option.field)
            _, _, after = shown.partition(f"--{option.long}={option.metavar}\n")
            assert f"[default: {default}]" in after.partition("\n  -")[0].partition("\n      --")[0]
        elif option.metavar and option.field:
            assert getattr(settings, option.field) in (None, 0, {})


def test_the_groups_of_the_help_begin_with_an_option_of_every_table() -> None:
    """Else a heading would be missing, and its options under another."""
    for persona in (OWN, *PERSONAS.values()):
        assert {option.long for option in table.rows(persona)} >= set(table.HEADINGS)


@pytest.mark.parametrize("word", ["-h", "--help", "-V", "--version", "-l", "--license"])
def test_options_that_print_and_exit_need_no_program(word: str) -> None:
    """No workload is started."""
    assert table.parse([word], {}).show in ("help", "version", "license")


def test_options_that_print_and_exit_read_no_variable() -> None:
    """The message on a malformed variable leads to ``--help``. A malformed option is an error all the same."""
    assert parse("--help", PYINIT_DRAIN_TIMEOUT="5s").show == "help"
    with pytest.raises(UsageError, match="option --drain-timeout: "):
        parse("--drain-timeout=5s", "--help")


WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([f"--{option.long}" for option in TABLE] + [f"-{option.short}" for option in TABLE]),
    st.builds("--{}={}".format, st.sampled_from([option.long for option in TABLE]), st.text(max_size=8)),
    st.builds("-{}{}".format, st.sampled_from([option.short for option in TABLE]), st.text(max_size=8)),
    st.binary(max_size=8).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)
VARIABLES = st.dictionaries(
    st.sampled_from([variable.encode() for option in TABLE for variable, _ in option.twins()]),
    st.one_of(st.binary(max_size=12), st.sampled_from([b"1", b"0.5", b"TERM:INT", b"143:0,1", b"json", b"all"])),
)


@given(words=st.lists(WORDS, max_size=6), environ=VARIABLES)
@example(words=["-e", "²"], environ={})
@example(words=["-e", "9" * 5000], environ={})
@example(words=["-\udcff"], environ={b"PYINIT_VERBOSITY": b"\xff"})
def test_any_input_gives_settings_or_a_usage_error(words: list[str], environ: dict[bytes, bytes]) -> None:
    """No input causes a traceback, and accepted settings are valid."""
    try:
        parsed = table.parse(words, environ)
    except UsageError as error:
        assert str(error) and error.settings.verbosity in range(5)
        return
    assert parsed.argv == words[len(words) - len(parsed.argv) :]
    assert parsed.show or bool(parsed.argv) != parsed.pause
    assert parsed.forward_to in ("child", "group", "all")
    assert 0 <= parsed.verbosity <= 4
    assert 0 <= parsed.drain_timeout < 1e9 and 0 <= (parsed.stop_timeout or 0) < 1e9
    assert all(0 <= code <= 255 for pair in parsed.exit_remap.items() for code in pair)


def test_the_license_that_is_shown_is_the_projects() -> None:
    """It is the same text in two places."""
    assert (Path(__file__).parents[2] / "LICENSE").read_text() == about.LICENSE
