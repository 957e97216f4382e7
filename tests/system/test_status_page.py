"""The status page in headless Chromium, against a real api-server, after real runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.models.dagrun import DagRun
from axe_playwright_python.sync_playwright import Axe
from jsonschema import Draft202012Validator
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from spot_runner_provider.embedded.demo.deployment import OUTCOMES, seed_demo
from spot_runner_provider.embedded.demo.seed import ami_state, put_items
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.server import EmbeddedAws
from spot_runner_provider.records.ami_state import render_timestamp
from spot_runner_provider.reporting.report import needs_attention
from spot_runner_provider.status.store import HISTORY
from tests.figures import Figure
from tests.system.real_airflow import RealAirflow

DAG = "spot_runner_reconcile"
HTML = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
HOSTILE = "linux-x64-hostile"
NAMES = sorted([*OUTCOMES, HOSTILE])
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

pytestmark = [pytest.mark.system, pytest.mark.needs("chromium")]

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    """The demo deployment, with HTML in what people and programs wrote."""
    with EmbeddedAws() as aws:
        seed_demo(aws)
        now = datetime.now(UTC)
        hostile = ami_state(HOSTILE, "failed", now, error=HTML)
        nameless = ami_state(HTML, "ready", now)
        put_items(aws.client("dynamodb", bystander=True), [hostile, nameless])
        yield aws


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Two tasks in each run instead of eight: the page shows the same."""
    return {"AIRFLOW__SPOT_RUNNER__MAX_MAPPED_TASKS": "2"}


@pytest.fixture(scope="module")
def run(airflow: RealAirflow) -> str:
    """A run of the demo, after more runs than the page shows."""
    airflow.wait_for_dag(DAG)
    engine = create_engine(f"sqlite:///{airflow.home}/airflow.db?timeout=60")
    with Session(engine) as session:
        for number in range(HISTORY + 4, 0, -1):
            began = datetime.now(UTC) - timedelta(minutes=15 * number)
            ended = began + timedelta(seconds=20 + number % 7)
            state = "failed" if number in (11, 12) else "success"
            moments = {"run_after": began, "queued_at": began, "start_date": began}
            past = DagRun(dag_id=DAG, run_id=f"past-{number}", run_type="scheduled", state=state, **moments)
            past.end_date = ended
            session.add(past)
        session.commit()
    engine.dispose()
    airflow.trigger(DAG, "first")
    return "first"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, airflow: RealAirflow) -> Iterator[BrowserContext]:
    """A browser that has logged in."""
    context = browser.new_context(base_url=airflow.url, viewport=DESKTOP, color_scheme="light")
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=airflow.url)
    context.request.get("/auth/token/login")
    yield context
    context.close()


@pytest.fixture
def open_page(context: BrowserContext) -> Iterator[Open]:
    """Open the page, or another; whatever the test does, there is no error in the console but the ``expected`` one."""
    complaints: list[str] = []

    def open_page(
        address: str = "/spot-runner/", *, clock: bool = False, expected: str | None = None, **viewport: int
    ) -> Page:
        page = context.new_page()

        def hear(message: ConsoleMessage) -> None:
            if message.type == "error" and not (expected and expected in message.text):
                complaints.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if clock:
            page.clock.install()
        if viewport:
            page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.goto(address)
        return page

    yield open_page
    assert complaints == []


@pytest.fixture
def page(run: str, open_page: Open) -> Page:
    """The page after a run."""
    page = open_page()
    expect(rows(page)).to_have_count(len(NAMES))
    return page


def rows(page: Any) -> Any:
    return page.locator("#presets tbody tr:visible")


def names(page: Any) -> list[str]:
    return list(rows(page).locator("th").all_inner_texts())


def background(page: Any) -> str:
    return str(page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor"))


def picture(page: Page, name: str, height: int | None = None) -> None:
    """Write a screenshot, if ``make screenshots`` asks for it; with a palette it takes a third of the space."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.mouse.move(0, 0)
        image = Image.open(BytesIO(page.screenshot())).convert("RGB")
        image = image.crop((0, 0, image.width, height or image.height)).quantize(256, dither=Image.Dither.NONE)
        image.save(Path(folder) / f"status-{name}.png", optimize=True)


def serious(page: Page) -> list[str]:
    """Return what axe-core finds serious or worse."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] in ("serious", "critical")]


def changed(**fields: Any) -> Callable[[Route], None]:
    """Let the endpoint say something else in some fields; a function makes it of the answer."""

    def answer(route: Route) -> None:
        response = route.fetch()
        said = response.json()
        new = {name: value(said) if callable(value) else value for name, value in fields.items()}
        route.fulfill(response=response, json=said | new)

    return answer


def ago(**duration: float) -> str:
    """Return a moment as the endpoint has it."""
    return render_timestamp(datetime.now(UTC) - timedelta(**duration))


def test_before_the_first_run_it_says_so_and_where_to_go(airflow: RealAirflow, open_page: Open) -> None:
    airflow.wait_for_dag(DAG)
    airflow.wait_for_dag("without_table")
    page = open_page()
    expect(page.locator("#notice")).to_contain_text("No run yet.")
    expect(page.locator("#summary")).to_be_hidden()
    expect(page.locator("#presets")).to_be_hidden()
    assert serious(page) == []
    picture(page, "empty", height=300)
    page.get_by_role("link", name="Open the DAG").click()
    page.wait_for_url(f"**/dags/{DAG}")


def test_it_shows_what_the_run_reported(page: Page, airflow: RealAirflow, run: str) -> None:
    report = airflow.xcom(DAG, run, "report_status")
    expect(page.locator("#message")).to_have_text(report["message"])
    expect(page.locator("#overall")).to_have_text(report["status"])
    assert names(page) == [line["name"] for line in report["presets"]] == NAMES
    words = page.evaluate("OUTCOMES")
    assert set(words) >= {outcome for outcome in OUTCOMES.values() if outcome}
    for line, row in zip(report["presets"], rows(page).all(), strict=True):
        status, ami, since, outcome, links = row.locator("td").all()
        expect(status).to_have_text(line["status"])
        expect(status.locator("svg use")).to_have_attribute("href", f"#{line['status']}")
        expect(ami).to_have_text(line["amiId"] or "none")
        expect(since.locator("time")).to_have_attribute("datetime", line["updatedAt"])
        expect(outcome).to_have_text(words.get(line["outcome"], "Not stale, left alone") + line["detail"])
        expect(outcome.locator("svg")).to_have_count(int(needs_attention(line)))
        expect(links.get_by_role("link").first).to_have_text("log")
    for record in report["malformed"]:
        expect(page.locator("#malformed")).to_contain_text(record["reason"])
    picture(page, "light")


def test_the_strip_shows_the_last_runs_and_no_more(page: Page) -> None:
    strip = page.locator("#history li a")
    expect(strip).to_have_count(HISTORY)
    expect(strip.first).to_have_attribute("title", re.compile(f"^past-{HISTORY - 1}: success"))
    expect(strip.last).to_have_attribute("title", re.compile("^first: success"))
    expect(strip.last).to_have_accessible_name(re.compile("^Run success, began .*, took [0-9]+ s$"))
    expect(page.locator("#history .failed use")).to_have_count(2)
    expect(page.locator("#history")).to_contain_text("Last runs")


def test_a_badge_has_an_icon_and_a_colour_of_its_own(page: Page) -> None:
    badges = page.locator(".badge").evaluate_all(
        """badges => badges.map((badge) => [
          badge.textContent, getComputedStyle(badge).backgroundColor, badge.querySelector("use").getBBox().width,
        ])"""
    )
    colours = {(status, colour) for status, colour, _ in badges}
    assert {status for status, _ in colours} == {"ready", "building", "failed", "degraded"}
    assert len({colour for _, colour in colours} - {background(page), "rgba(0, 0, 0, 0)"}) == len(colours) == 4
    assert all(drawn > 0 for *_, drawn in badges)


def test_the_exact_moment_needs_no_mouse(page: Page) -> None:
    row = rows(page).first
    expect(row.locator(".exact")).to_be_hidden()
    row.get_by_role("link", name="log of").focus()
    expect(row.locator(".exact")).to_be_visible()
    moment = row.locator("time").get_attribute("datetime") or ""
    expect(row.locator(".exact")).to_have_text(f"{moment[:16].replace('T', ' ')} UTC")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    expect(rows(page).nth(1).locator(".exact")).to_be_visible()


def test_a_moment_in_a_form_that_a_browser_cannot_read_is_shown_as_it_is(
    run: str, open_page: Open, context: BrowserContext
) -> None:
    def odd(said: dict[str, Any]) -> list[dict[str, Any]]:
        return [said["presets"][0] | {"updatedAt": "20260211T155903Z"}, *said["presets"][1:]]

    context.route("**/spot-runner/status*", changed(presets=odd))
    page = open_page()
    expect(rows(page)).to_have_count(len(NAMES))
    expect(rows(page).first.locator(".column-since")).to_have_text("20260211T155903Z")
    expect(rows(page).nth(1).locator("time")).to_be_visible()


def test_the_sentence_leads_to_the_malformed_records(page: Page) -> None:
    page.get_by_role("link", name="See the records").click()
    expect(page.get_by_role("heading", name="Malformed records")).to_be_in_viewport()


def test_html_is_shown_as_text(page: Page) -> None:
    expect(rows(page).filter(has_text=HOSTILE).locator(".detail")).to_have_text(HTML)
    expect(page.locator("#malformed")).to_contain_text(HTML)
    assert page.locator("main img, main b b, .detail b").count() == 0
    assert page.title() == "Spot runner presets"


def test_the_filter_is_by_status_and_name_and_a_reload_keeps_it(page: Page) -> None:
    page.get_by_role("radio", name="Failed").check()
    failed = ["linux-arm64-gpu", "linux-x64-cuda", HOSTILE, "windows-2019"]
    assert names(page) == failed
    page.get_by_label("Name").fill("X64")
    assert names(page) == ["linux-x64-cuda", HOSTILE]
    expect(page.locator("output")).to_have_text(f"2 of {len(NAMES)} presets")
    page.reload()
    expect(page.locator("output")).to_have_text(f"2 of {len(NAMES)} presets")
    assert names(page) == ["linux-x64-cuda", HOSTILE]
    page.get_by_label("Name").fill("no such preset")
    assert names(page) == []
    page.get_by_label("Name").fill("")
    page.get_by_label("To look at").check()
    assert {"linux-riscv64", "linux-x64-typo", *failed} <= set(names(page))
    assert "linux-x64" not in names(page)
    page.get_by_label("All").check()
    assert names(page) == NAMES


def test_one_click_copies_an_ami(page: Page) -> None:
    button = page.get_by_role("button", name="of windows-2022")
    button.click()
    expect(page.locator("output")).to_have_text(f"Copied {button.inner_text()}")
    assert page.evaluate("navigator.clipboard.readText()") == button.inner_text() != ""


@pytest.mark.parametrize("clipboard", ["undefined", "{writeText: () => Promise.reject(new Error('forbidden'))}"])
def test_it_copies_without_a_clipboard_too(page: Page, clipboard: str) -> None:
    page.evaluate("navigator.clipboard.writeText('what was copied before')")
    page.evaluate(f"Object.defineProperty(navigator, 'clipboard', {{value: {clipboard}}})")
    button = page.get_by_role("button", name="of windows-2019")
    ami = button.inner_text()
    button.click()
    expect(button).to_be_focused()
    page.get_by_label("Name").focus()
    page.keyboard.press("Control+V")
    expect(page.get_by_label("Name")).to_have_value(ami)


def test_the_keyboard_is_enough(page: Page) -> None:
    page.keyboard.press("Tab")  # the choice of a deployment
    for _ in range(HISTORY):
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # the malformed records
    page.keyboard.press("Tab")  # the run that it is from
    page.keyboard.press("Tab")
    expect(page.get_by_label("All")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Ready")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.type("windows-2022")
    assert names(page) == ["windows-2022"]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("output")).to_contain_text("Copied ami-")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/dags/{DAG}/runs/first/tasks/reconcile_preset/mapped/*")


def test_it_is_light_and_dark_like_airflow(page: Page) -> None:
    light = background(page)
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    expect(rows(page)).to_have_count(len(NAMES))
    dark = background(page)
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(11, 11, 13)")
    assert serious(page) == []
    picture(page, "dark")
    page.evaluate("localStorage.setItem('theme', 'system')")
    page.reload()
    assert background(page) == light
    page.emulate_media(color_scheme="dark")
    assert background(page) == dark


def test_every_width_is_enough(page: Page) -> None:
    beyond = (
        "all => all.filter((each) => each.getBoundingClientRect().right > innerWidth).map((each) => each.outerHTML)"
    )
    for width in (PHONE["width"], 320, 360, 600, 820, 956, 1169, 1280):  # the picture is of a page that nobody touched
        page.set_viewport_size({"width": width, "height": PHONE["height"]})
        page.get_by_label("All").check()
        expect(rows(page)).to_have_count(len(NAMES))
        expect(page.locator("#history li a")).to_have_count(HISTORY)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("main *:not(thead, thead *)").evaluate_all(beyond) == [], width
        assert (page.locator(".column-outcome").last.bounding_box() or {})["width"] >= 200, width
        if width == PHONE["width"]:
            picture(page, "phone")
        page.get_by_role("radio", name="Failed").check()
        assert len(names(page)) == 4, width
        assert serious(page) == [], width


def test_axe_finds_nothing_serious(page: Page) -> None:
    assert serious(page) == []


def test_in_airflows_frame_links_lead_out_and_the_theme_follows(
    run: str, open_page: Open, airflow: RealAirflow
) -> None:
    page = open_page("/")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Spot runner presets").click()
    frame = page.frame_locator("iframe")
    expect(rows(frame)).to_have_count(len(NAMES))
    picture(page, "in-airflow")
    light = background(frame)
    page.get_by_role("button", name="User").click()
    page.get_by_role("menuitem", name="Appearance").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    assert background(frame) != light
    frame.get_by_role("link", name="See the records").click()
    expect(frame.get_by_role("heading", name="Malformed records")).to_be_in_viewport()
    frame.get_by_role("button", name="of windows-2022").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("ami-")
    page.context.route("https://console.aws.amazon.com/**", lambda route: route.fulfill(body="the console"))
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="pipeline of windows-2022 in the AWS console").click()
    opened.value.wait_for_url("https://console.aws.amazon.com/imagebuilder/**")
    frame.get_by_role("link", name="log of windows-2022").click()
    page.wait_for_url(f"**/dags/{DAG}/runs/first/tasks/reconcile_preset/mapped/*")


def test_it_follows_a_run_by_itself_and_without_flicker(
    run: str, open_page: Open, airflow: RealAirflow, aws: EmbeddedAws
) -> None:
    page = open_page(clock=True)
    expect(rows(page)).to_have_count(len(NAMES))
    page.evaluate("for (const row of document.querySelectorAll('tbody tr')) row.seen = true")
    link = page.get_by_role("link", name="log of linux-x64", exact=True)
    cell = page.locator("tbody tr").filter(has=link).locator("td").first
    cell.evaluate("cell => { cell.firstChild.seen = true }")
    aws.add_fault(Fault("dynamodb.Query", "hold", times=1))
    try:
        airflow.start_run(DAG, "second")
        aws.wait_until_held(timeout=60)
        page.clock.fast_forward(31_000)
        expect(page.locator("#notice")).to_contain_text("A run is under way")
        expect(page.locator("#message")).to_contain_text("presets ready")
        assert serious(page) == []
        picture(page, "running")
        page.get_by_label("Name").focus()
    finally:
        aws.clear_faults()
        aws.release()
    airflow.wait_for_run(DAG, "second")
    page.clock.fast_forward(6_000)
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#source")).to_contain_text("second")
    expect(page.locator("#history li a").last).to_have_attribute("title", re.compile("^second: success"))
    assert page.evaluate("[...document.querySelectorAll('tbody tr')].every((row) => row.seen)")
    assert cell.evaluate("cell => cell.firstChild.seen")
    expect(page.get_by_label("Name")).to_be_focused()


def test_a_run_for_a_few_presets_does_not_hide_the_others(run: str, open_page: Open, airflow: RealAirflow) -> None:
    airflow.trigger(DAG, "partial", presets=["linux-x64"])
    assert [line["name"] for line in airflow.xcom(DAG, "partial", "report_status")["presets"]] == ["linux-x64"]
    page = open_page()
    expect(rows(page)).to_have_count(len(NAMES))
    expect(page.locator("#history li a").last).to_have_attribute("title", re.compile("^partial: success"))


def test_a_schedule_that_nobody_keeps_is_told(run: str, open_page: Open, context: BrowserContext) -> None:
    def at(text: str) -> str:
        return f"{text[:16].replace('T', ' ')} UTC"

    def message(said: dict[str, Any]) -> str:
        since = f"no run since {at(said['runs'][0]['beganAt'])}, one was due at {at(due)}"
        return f"{since}, the DAG is paused; then: {said['message']}"

    due = ago(minutes=-15)
    context.route(
        "**/spot-runner/status*", changed(state="stale", status="degraded", paused=True, due=due, message=message)
    )
    page = open_page(clock=True)
    page.clock.set_system_time(datetime.now(UTC) + timedelta(hours=2, minutes=36))
    page.reload()
    expect(page.locator("#notice")).to_contain_text("No run for longer than the schedule.")
    expect(page.locator("#notice")).to_contain_text(
        "The last one began 3 hours ago, the next was due 2 hours ago. The DAG"
    )
    assert serious(page) == []
    picture(page, "stale")


def test_a_failed_run_is_told_beside_what_the_run_before_it_found(
    run: str, open_page: Open, airflow: RealAirflow, aws: EmbeddedAws
) -> None:
    aws.add_fault(Fault("dynamodb.Query", "AccessDeniedException"))
    try:
        airflow.trigger(DAG, "failing")
    finally:
        aws.clear_faults()
    page = open_page()
    expect(page.locator("#notice")).to_contain_text("The last run failed")
    expect(page.locator("#message")).to_contain_text("the last run failed; before it: ")
    expect(rows(page)).to_have_count(len(NAMES))
    expect(page.locator("#history li a.failed use").last).to_have_attribute("href", "#cross")
    assert serious(page) == []
    picture(page, "failed")
    page.get_by_role("link", name="Open the run").click()
    page.wait_for_url(f"**/dags/{DAG}/runs/failing")


def test_another_deployment_can_be_chosen_and_a_reload_keeps_it(page: Page, airflow: RealAirflow) -> None:
    page.get_by_label("Deployment").select_option("without_table")
    expect(page.locator("#notice")).to_contain_text("No run yet.")
    expect(page.locator("#presets")).to_be_hidden()
    page.reload()
    expect(page.get_by_label("Deployment")).to_have_value("without_table")
    page.get_by_label("Deployment").select_option(DAG)
    expect(rows(page)).to_have_count(len(NAMES))


def test_a_deployment_that_is_gone_is_replaced_with_a_word(run: str, open_page: Open) -> None:
    page = open_page("/spot-runner/?dag_id=gone&status=failed", expected="404 (Not Found)")
    expect(page.locator("#problem")).to_contain_text("There is no deployment gone that you may see.")
    expect(page.get_by_label("Deployment")).to_have_value(DAG)
    assert len(names(page)) == 4
    assert page.url.endswith("/spot-runner/?status=failed")


def test_in_airflows_frame_a_reload_keeps_the_filter_and_the_deployment(run: str, open_page: Open) -> None:
    page = open_page("/plugin/spot-runner-presets")
    frame = page.frame_locator("iframe")
    frame.get_by_label("Name").fill("windows")
    frame.get_by_role("radio", name="Failed").check()
    page.reload()
    expect(frame.get_by_label("Name")).to_have_value("windows")
    expect(rows(frame)).to_have_text([re.compile("windows-2019")])
    frame.get_by_label("Name").fill("")
    frame.get_by_label("Deployment").select_option("without_table")
    expect(frame.locator("#notice")).to_contain_text("No run yet.")
    page.reload()
    expect(frame.get_by_label("Deployment")).to_have_value("without_table")
    expect(frame.get_by_label("Name")).to_have_value("")


def test_a_run_that_waits_or_takes_long_says_so(run: str, open_page: Open, context: BrowserContext) -> None:
    begun, due = ago(minutes=40), ago(minutes=25)
    newest = {"runId": "next", "state": "queued", "beganAt": begun, "endedAt": None, "path": f"dags/{DAG}/runs/next"}
    context.route("**/spot-runner/status*", changed(state="queued", paused=True, runs=[newest]))
    page = open_page()
    expect(page.locator("#notice")).to_contain_text(
        "A run waits to begin, queued 40 minutes ago. The DAG is paused: unpause it"
    )
    context.unroute("**/spot-runner/status*")
    context.route("**/spot-runner/status*", changed(state="running", due=due, runs=[newest | {"state": "running"}]))
    page.reload()
    expect(page.locator("#notice")).to_contain_text(
        "A run is under way, begun 40 minutes ago. It takes long: the next was due 25"
    )


def test_what_is_announced_does_not_tick(run: str, open_page: Open, context: BrowserContext) -> None:
    context.route("**/spot-runner/status*", changed(state="failed"))
    page = open_page()
    expect(page.locator("#notice").get_by_role("status")).to_have_text("The last run failed")
    expect(page.locator("#notice time")).to_be_visible()
    assert (
        page.locator("time").evaluate_all(
            "all => all.filter((each) => each.closest('[role=status], [role=alert], output'))"
        )
        == []
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 401, "json": {}}, "Your session has ended."),
        ({"status": 403, "json": {}}, "You may not see this DAG."),
        ({"status": 503, "json": {}}, "Airflow answered 503; trying again."),
        ({"status": 200, "content_type": "text/html", "body": "<h1>Log in</h1>"}, "Something else answered"),
        ({"status": 200, "json": {}}, "This page cannot show what Airflow answered"),
        (None, "Airflow does not answer; trying again."),
        ("silence", "Airflow has not answered within 20 seconds; trying again."),
    ],
)
def test_whatever_goes_wrong_what_was_known_stays_and_it_tries_again(
    run: str, browser: Browser, airflow: RealAirflow, answer: Any, words: str
) -> None:
    def respond(route: Route) -> None:
        if answer is None:
            route.abort()
        elif answer != "silence":
            route.fulfill(**answer)

    context = browser.new_context(base_url=airflow.url)
    context.request.get("/auth/token/login")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.clock.install()
    page.goto("/spot-runner/")
    expect(rows(page)).to_have_count(len(NAMES))
    page.evaluate(
        "{ const real = AbortSignal.timeout; AbortSignal.timeout = (time) => real.call(AbortSignal, time / 20); }"
    )
    page.route("**/spot-runner/status*", respond)
    page.clock.fast_forward(31_000)
    expect(page.locator("#problem")).to_contain_text(words)
    expect(rows(page)).to_have_count(len(NAMES))
    page.unroute("**/spot-runner/status*")
    page.clock.fast_forward(31_000)
    expect(page.locator("#problem")).to_be_hidden()
    context.close()
    assert errors == []


@pytest.mark.long
def test_four_hundred_presets(
    run: str, open_page: Open, airflow: RealAirflow, aws: EmbeddedAws, figure: Figure
) -> None:
    now = datetime.now(UTC)
    more = [
        ami_state(
            f"fleet-{number:03}", "ready", now - timedelta(hours=number), ami=f"ami-0{number:016x}", build=f"b-{number}"
        )
        for number in range(400 - len(NAMES))
    ]
    put_items(aws.client("dynamodb", bystander=True), more)
    airflow.trigger(DAG, "fleet")

    page = open_page()
    expect(rows(page)).to_have_count(400)
    picture(page, "400")
    took = min(  # what else runs on the machine does not make it quicker
        page.evaluate(
            """text => {
              const name = document.querySelector("[name=name]"), began = performance.now();
              name.value = text;
              name.dispatchEvent(new Event("input", {bubbles: true}));
              document.body.offsetHeight;
              return performance.now() - began;
            }""",
            text,
        )
        for text in ("fleet", "fleet-3", "fleet-", "fleet-37")
    )
    assert names(page) == [f"fleet-37{digit}" for digit in range(8)]
    assert took < 200
    assert serious(page) == []

    aws.reset_calls()
    token = httpx.get(f"{airflow.url}/auth/token", trust_env=False).json()["access_token"]
    with httpx.Client(base_url=airflow.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
        for _ in range(10):
            client.get("/spot-runner/status")
        server, requests = airflow.process("api-server"), 50
        began = server.cpu_times()
        for _ in range(requests):
            response = client.get("/spot-runner/status")
        ended = server.cpu_times()
        Draft202012Validator(client.get("/spot-runner/schema.json").json()).validate(response.json())
    assert len(response.json()["presets"]) == 400
    # Processor time, for that of the wall is also what else runs on the machine.
    each = 1000 * (ended.user + ended.system - began.user - began.system) / requests
    figure("status page", f"filters 400 presets in {took:.0f} ms; endpoint: {each:.0f} ms of processor time")
    assert each < 50
    assert aws.calls() == {}
