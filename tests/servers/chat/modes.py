"""Mode -> truth and strategy. `python -m chat.modes` prints a line `mode truth` for each.

pass: the commit comes before DONE. violation: DONE does not wait for it. other: the order is not
what is wrong. ending: right as long as a turn comes to its end. Modes whose strategy is `correct` but whose truth is `other` misbehave elsewhere:
`app`, `schema` and `database` ask for them by name.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chat import again as a
from chat import crowded as c
from chat import endings as e
from chat import resuming as r
from chat import strategies as s
from chat.turn import Turn


@dataclass(frozen=True)
class Mode:
    truth: str
    strategy: Callable[[Turn], s.Events]


_PASS = [
    s.correct,
    s.finish_reason,
    s.ph_correct,
    s.tok_pre,
    s.tok_post,
    s.tok_batch_correct,
    s.chars_batch_correct,
    s.touch_correct,
    s.save_touch,
    s.conc_both,
    s.three_transactions,
    s.keyed_by_provider,
    s.held_correct,
    s.correct_slow,
    s.long_tx_correct,
]
_VIOLATION = [
    s.after,
    s.background,
    s.create_task,
    s.create_task_slow,
    s.write_behind,
    s.ph_after,
    s.tok_batch_after,
    s.chars_batch_after,
    s.touch_after,
    s.slow_after,
    s.long_tx_after,
    s.conc_writer,
    s.depends_commit,
    s.flush_after,
    s.acknowledge_then_flush,
]
_OTHER = [
    s.never_saves,
    s.only_done,
    s.truncated,
    s.empty,
    s.wrong_conversation,
    s.duplicate,
    s.swallow,
    s.waits_briefly_for_saves,
    s.waits_briefly_and_reports,
    s.reports_then_ends,
    s.swallow_silent,
    s.swallow_touch,
    s.retries_blindly,
    s.retries_what_is_missing,
    s.hangs_on_failed_save,
    s.stuck_after_failed_save,
    s.changed_later,
    s.delivered_later,
    s.late_second_turn,
    s.error_as_answer,
    s.hides_errors,
    s.hides_errors_in_words,
    s.reports_in_words,
    s.empty_placeholder,
    s.narrow_column,
    s.tidies,
    s.wrong_role,
    s.no_done,
    s.data_after_done,
]
# What their truth is depends on where a turn ends, and on what the session declares.
_ENDINGS = [
    e.finishes,
    e.appends_twice,
    e.saves_elsewhere,
    e.keeps_part,
    e.part_as_whole,
    e.leaves_part_out,
    e.hides_part,
    e.question_with_answer,
    e.locks,
    e.unlocks,
    e.unlocks_late,
    e.locks_at_stop,
    e.saves_no_more,
    e.clears_cache_late,
    e.keeps_cache,
    e.stop_keeps_part,
    e.stop_keeps_part_late,
    e.stop_loses_part,
    e.stop_keeps_whole,
    e.stops_all,
    e.leaving_ends_all,
    e.interrupts,
    e.interrupts_and_drops,
    e.once_by_key,
    e.once_by_file,
    e.versions_by_key,
    e.versions_question,
    r.resumes,
    r.resumes_twice,
    r.resumes_from_now,
    r.resumes_anew,
    c.shared_conversation,
    c.shared_buffer,
    c.loses_second_question,
    c.stores_what_the_page_has,
    c.keeps_connections,
    a.replaces_answer,
    a.replaces_at_the_end,
    a.keeps_attachments,
    a.careless_again,
    a.spoils_again,
]
_ELSEWHERE = [
    "user_lost",
    "forgets_context",
    "not_sse",
    "history_reversed",
    "history_paged",
    "history_in_memory",
    "new_secret",
    "hard_reset",
    "missing_models",
    "in_memory",
    "ephemeral_path",
    "html",
    "compressed",
    "status_500",
    "mute",
    "slow_first",
    "late_store",
    "unguarded",
    "titles",
    "speech",
]

MODES: dict[str, Mode] = {
    **{strategy.__name__: Mode("pass", strategy) for strategy in _PASS},
    **{strategy.__name__: Mode("violation", strategy) for strategy in _VIOLATION},
    **{strategy.__name__: Mode("other", strategy) for strategy in _OTHER},
    **{strategy.__name__: Mode("ending", strategy) for strategy in _ENDINGS},
    **{name: Mode("other", s.correct) for name in _ELSEWHERE},
}

if __name__ == "__main__":
    for name, mode in MODES.items():
        print(name, mode.truth)
