"""The hardening checklist: each of its lines, and the tests that hold it. A line whose test is gone fails."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from tests.sources import ROOT

HERE = "tests/end_to_end"
LINES: dict[int, tuple[str, ...]] = {
    # every route behind the same check and every credential header
    1: (
        "tests/proxy/server/test_admin.py::test_every_route_by_every_credential",
        "tests/proxy/server/test_admin.py::test_every_way_in_stands_in_the_table",
        "tests/proxy/server/test_doors.py::test_every_way_in_that_a_codec_reads_stands_in_the_table",
        "tests/proxy/server/test_doors.py::test_no_way_in_opens_to_a_wrong_credential",
        "tests/proxy/server/test_doors.py::test_every_way_in_opens_to_a_key_in_every_credential_header",
        "tests/proxy/server/test_auth.py::test_a_key_in_the_path_or_query_is_none",
    ),
    # no SQL from strings
    2: (
        "tests/test_safety.py::test_no_statement_is_made_from_values",
        "tests/proxy/store/test_history.py::test_a_value_is_never_part_of_a_statement",
        "tests/proxy/store/test_events.py::test_filters_combine",
    ),
    # keys hashed, compared whole, in constant time
    3: (
        "tests/proxy/server/test_book.py::test_digests_are_compared_whole_and_in_constant_time",
        "tests/proxy/server/test_auth.py::test_a_key_is_compared_whole",
    ),
    # upstream addresses only from configuration, redirects not followed, keys to their own host
    4: (
        "tests/proxy/upstream/test_client.py::test_that_redirects_is_not_followed",
        "tests/proxy/upstream/test_client.py::test_is_never_a_target_that_would_be_rewritten_or_lead_elsewhere",
        f"{HERE}/test_headers.py::test_a_key_of_weirs_own_is_never_forwarded",
        f"{HERE}/test_headers.py::test_a_configured_key_takes_the_place_of_the_callers",
    ),
    # canaries everywhere, at debug level
    5: (
        f"{HERE}/test_hardening_canary.py::test_no_key_is_written_down_anywhere",
        f"{HERE}/test_hardening_canary.py::test_no_address_of_a_person_is_written_down_anywhere",
        f"{HERE}/test_hardening_canary.py::test_no_text_of_a_call_is_written_down_but_where_that_was_asked_for",
        f"{HERE}/test_hardening_canary.py::test_nothing_that_holds_a_secret_shows_it_when_it_is_printed",
    ),
    # log injection
    6: (
        "tests/proxy/telemetry/test_logs.py::test_no_text_can_break_or_forge_a_line",
        "tests/proxy/telemetry/test_logs.py::test_hostile_characters_are_escaped_and_still_read_back",
        f"{HERE}/test_hardening_canary.py::test_the_log_at_debug_level_is_lines_of_json",
    ),
    # bounded series
    7: (
        f"{HERE}/test_hardening_series.py::test_names_that_callers_make_up_make_no_more_series_than_are_allowed",
        "tests/proxy/telemetry/test_page.py::test_past_the_bound_of_a_metric_labels_become_other",
    ),
    # the cache: isolation, what is never stored, garbage
    8: (
        "tests/plugins/cache/test_key.py::test_keys_never_collide_across_tenant_agent_prompt_tools_parameters_and_variant",
        "tests/plugins/cache/test_key.py::test_one_field_that_differs_is_enough",
        "tests/plugins/cache/test_worker.py::test_agents_and_tenants_never_meet",
        "tests/plugins/cache/test_worker.py::test_what_went_wrong_was_refused_or_cut_short_is_never_kept",
        "tests/plugins/cache/test_shelves.py::test_garbage_in_hot_state_is_a_miss",
        "tests/plugins/cache/test_shelves.py::test_nothing_but_an_entry_is_read_as_one",
    ),
    # a placeholder that a user types
    9: ("tests/plugins/pii/test_plugin.py::test_a_placeholder_of_nobody_stays",),
    # patterns that run away, the lag of the loop
    10: (
        "tests/test_safety.py::test_no_rule_runs_away",
        "tests/proxy/telemetry/test_lag.py::test_what_holds_the_loop_is_observed",
        f"{HERE}/test_loop_lag.py::test_a_megabyte_holds_the_loop_for_less_than_ten_milliseconds",
    ),
    # user text is not a template
    11: (
        "tests/test_safety.py::test_text_is_never_evaluated",
        f"{HERE}/test_hardening_errors.py::test_text_of_callers_is_text_and_nothing_else",
    ),
    # plugins only from configuration
    12: (
        "tests/test_safety.py::test_nobody_but_the_registry_loads_what_a_configuration_names",
        "tests/test_safety.py::test_only_the_supervisor_and_the_command_line_start_processes",
        "tests/proxy/control/test_configuration.py::test_who_may_change_what_and_undo_it",
    ),
    # CSRF, CORS, DNS rebinding
    14: (
        "tests/proxy/server/test_admin.py::test_pages_of_other_sites_change_and_read_nothing",
        "tests/proxy/server/test_admin.py::test_no_answer_may_be_read_by_another_site",
        "tests/proxy/server/test_admin.py::test_a_form_cannot_change_anything",
        "tests/proxy/server/test_admin.py::test_without_a_token_this_machine_is_served_under_its_own_name_only",
    ),
    # the admin listener
    16: (
        "tests/proxy/configuration/test_refusals.py::test_the_admin_api_is_never_open",
        "tests/proxy/server/test_admin.py::test_peers_beyond_this_machine_are_not_served_without_a_token",
        "tests/proxy/server/test_admin.py::test_changes_carry_the_name_of_who_made_them",
    ),
    # limits of a call, per key
    17: (
        "tests/proxy/test_bounds.py::test_what_goes_over_is_refused_whichever_way_the_call_takes_and_nothing_is_sent",
        "tests/proxy/test_bounds.py::test_a_key_may_have_less_than_all_and_never_more",
        "tests/proxy/test_bounds.py::test_tokens_are_those_of_all_answers_to_all_prompts",
        f"{HERE}/test_hardening.py::test_a_declared_body_over_the_limit_is_refused_before_it_is_read",
    ),
    # aliases and routing keep permissions
    18: (
        "tests/proxy/server/test_doors.py"
        "::test_no_alias_no_fallback_and_no_agent_gives_a_key_a_model_that_it_may_not_use",
        "tests/proxy/test_pipeline.py"
        "::test_a_model_that_a_key_may_not_use_is_refused_before_anything_is_reserved_or_judged",
    ),
    # errors
    19: (
        f"{HERE}/test_hardening_errors.py::test_a_provider_that_fails_is_not_described",
        f"{HERE}/test_hardening_errors.py::test_an_address_that_nobody_answers_at_is_not_told",
        f"{HERE}/test_hardening_errors.py::test_what_breaks_inside_weir_is_not_described",
        "tests/proxy/server/test_doors.py::test_errors_tell_no_address_no_path_no_key_and_no_traceback",
        "tests/proxy/server/test_admin.py::test_a_failure_shows_no_detail",
    ),
    # who is trusted to say who calls
    20: (
        "tests/proxy/server/test_book.py::test_a_trusted_peer_names_the_caller_it_has_verified",
        "tests/proxy/server/test_book.py::test_what_nobody_vouches_for_names_nobody",
        "tests/proxy/server/test_auth.py::test_a_web_page_from_elsewhere_does_not_borrow_the_standing_of_this_machine",
    ),
    # what is installed
    21: (
        "tests/test_container.py::test_every_locked_package_has_its_hashes_and_no_address",
        "tests/test_container.py::test_what_is_installed_is_what_runs_and_no_more",
        "tests/test_safety.py::test_what_is_installed_has_no_hole_that_was_known",
        "tests/test_safety.py::test_no_file_runs_by_itself_at_every_start_of_python",
        "tests/test_safety.py::test_ruff_has_nothing_to_say_about_security",
        "tests/proxy/commands/test_sbom.py::test_a_lock_is_told_with_every_version_and_hash",
    ),
    # the container, and who may read what is kept
    22: (
        "tests/test_container.py::test_it_runs_as_somebody_without_rights_who_owns_the_one_volume_only",
        "tests/test_container.py::test_it_serves_from_a_read_only_tree_as_nobody_and_leaves_in_order",
        "tests/test_packages.py::test_the_data_directory_is_its_owners_only",
        f"{HERE}/test_hanging.py::test_an_embedded_server_writes_for_its_owner_only",
        "tests/proxy/store/test_history.py::test_each_day_has_its_file_that_only_its_owner_reads",
    ),
    # how guards fail
    23: (
        f"{HERE}/test_hardening_errors.py::test_a_guard_that_fails_lets_pass_or_refuses_as_it_is_told_and_is_counted",
        f"{HERE}/test_coverage.py::test_what_nobody_reads_is_refused_where_that_is_wanted",
    ),
    # the audit trail
    24: (
        "tests/proxy/control/test_audit.py::test_a_single_flipped_bit_is_found",
        "tests/proxy/control/test_audit.py::test_a_removed_block_is_missed",
        "tests/proxy/control/test_audit.py::test_two_blocks_that_changed_places_are_found",
        "tests/proxy/control/test_audit.py::test_a_block_put_in_is_found",
        "tests/proxy/control/test_audit.py::test_a_cut_end_is_found",
        "tests/proxy/control/test_audit.py::test_an_exported_checkpoint_finds_a_trail_put_back_to_an_older_state",
        "tests/proxy/control/test_audit.py"
        "::test_the_time_of_a_verification_grows_with_the_number_of_entries_and_no_faster",
        "tests/proxy/control/test_privacy.py::test_after_an_erasure_nothing_is_told_and_no_byte_has_the_name",
    ),
}
COMES_WITH = {13: "the dashboard", 15: "alerts"}
"""Lines about what is not there yet."""


@cache
def names_in(file: str) -> frozenset[str]:
    path = ROOT / file
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return frozenset(one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def named() -> Iterator[tuple[int, str]]:
    return ((line, test) for line, tests in LINES.items() for test in tests)


def test_every_line_has_its_tests_or_comes_with_what_it_is_about() -> None:
    assert sorted([*LINES, *COMES_WITH]) == list(range(1, 25))
    assert all(LINES.values())


@pytest.mark.parametrize(("line", "test"), [*named()], ids=lambda value: str(value).rpartition("::")[2])
def test_a_test_that_holds_a_line_is_there(line: int, test: str) -> None:
    file, _, name = test.partition("::")
    assert name in names_in(file)


@pytest.mark.parametrize(("line", "about"), COMES_WITH.items())
def test_a_line_about_what_is_not_there_yet_has_to_wait_for_it(line: int, about: str) -> None:
    places = {
        "the dashboard": "proxy/server/dashboard.py",
        "alerts": "proxy/control/alerts.py",
    }
    assert not (ROOT / places[about]).exists(), f"{about} is there: line {line} needs its tests"
