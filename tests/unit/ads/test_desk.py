"""What the desk keeps never shows by itself: a failing test prints it."""

from lethe.standins.desk import Answer, Call, Removal


def test_a_call_and_an_answer_show_no_identifier() -> None:
    call = Call(
        "meta",
        1,
        "POST",
        "/v26.0/1234/events",
        {"access_token": "ann"},
        {"authorization": "ann"},
        {"em": "ann"},
        9,
    )
    answer = Answer(200, {"echo": "ann"}, {"x-echo": "ann"}, ["ann"], [Removal("6001", "ann")])
    assert "ann" not in f"{call!r}{answer!r}"
    assert "/v26.0/1234/events" in repr(call)
    assert "200" in repr(answer)
