"""``protcontact report``: the page, opened in a browser."""

import re
import shutil

import pytest

from protcontact.cli import main
from tests.report.stored_runs import write_run
from tests.report.training import trained_run

__all__ = ["trained_run"]


@pytest.fixture(scope="module")
def page(trained_run, tmp_path_factory):
    folder, _ = trained_run
    out = tmp_path_factory.mktemp("page") / "new" / "page.html"
    assert main(["report", str(folder), "--out", str(out), "--chains", "3"]) == 0
    return out


def test_the_data_are_found_where_the_training_found_them(page, capsys):
    html = page.read_text()
    assert html.count('"predicted":') == 3 and "log10 norm" in html
    assert "Of the 3 chains shown, which are among those that the temperature" in html


def test_runs_of_one_name_are_told_apart(trained_run, tmp_path):
    folder, _ = trained_run
    other = shutil.copytree(folder, tmp_path / folder.parent.name / "version_0")
    text = (other / "hparams.yaml").read_text()
    (other / "hparams.yaml").write_text(text.replace("seed_everything: 0", "seed_everything: 1"))
    out = tmp_path / "page.html"
    assert main(["report", str(folder), str(other), "--out", str(out), "--chains", "2"]) == 0
    html = out.read_text()
    for name in ("run seed 0", "run seed 1"):
        assert f'">{name}</option>' in html and f'"name":"{name}"' in html


def test_what_is_missing_is_told(trained_run, tmp_path, capsys):
    folder, data = trained_run
    bare = write_run(tmp_path / "bare", [0.1, 0.2])
    assert main(["report", str(bare), "--out", str(tmp_path / "a.html")]) == 0
    assert "no maps of bare: there is no" in capsys.readouterr().out
    moved = shutil.copytree(folder, tmp_path / "moved")
    text = (moved / "hparams.yaml").read_text()
    (moved / "hparams.yaml").write_text(text.replace(str(data), str(tmp_path / "absent")))
    assert main(["report", str(moved), "--out", str(tmp_path / "b.html")]) == 0
    assert "absent is not here: give --data" in capsys.readouterr().out
    words = ["report", str(moved), "--out", str(tmp_path / "c.html"), "--data", str(data)]
    assert main(words) == 0
    assert "no maps" not in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--chains", "--longest"])
def test_refusals(trained_run, tmp_path, capsys, option):
    words = ["report", str(trained_run[0]), "--out", str(tmp_path / "a.html"), option, "0"]
    assert main(words) == 2
    assert "must be >= 1" in capsys.readouterr().err


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver of the distribution are not installed")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, page):
    browser.set_window_size(1280, 900)
    browser.get(page.as_uri())
    drawn(browser, "1")
    return browser


def drawn(browser, count):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 60).until(
        lambda b: b.execute_script("return document.body.dataset.drawn") == count
    )


def slide(browser, name, value):
    browser.execute_script(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input'))",
        name,
        value,
    )


def text(browser, name):
    return browser.execute_script(f"return document.getElementById('{name}').textContent")


def image(browser):
    return browser.execute_script(
        "return Bokeh.documents.map(d => d.get_model_by_name('map-image')).find(m => m).data.url[0]"
    )


@pytest.mark.slow
def test_sliders_change_what_they_should(opened):
    first = image(opened)
    slide(opened, "threshold", 0)
    drawn(opened, "2")
    every = int(text(opened, "summary").split()[0])
    length = int(opened.execute_script("return document.getElementById('low').max")) + 1
    chain = opened.execute_script("return document.getElementById('chain').selectedOptions[0].text")
    residues = int(chain.split(", ")[1].split()[0])
    assert every == (residues - 6) * (residues - 5) // 2 and residues <= length
    slide(opened, "low", 24)
    drawn(opened, "3")
    assert int(text(opened, "summary").split()[0]) == (residues - 24) * (residues - 23) // 2
    assert text(opened, "low-value") == "24"
    slide(opened, "high", 24)
    drawn(opened, "4")
    assert int(text(opened, "summary").split()[0]) == residues - 24
    assert text(opened, "high-value") == "24"
    slide(opened, "threshold", 1)
    drawn(opened, "5")
    assert (
        text(opened, "summary").startswith("0 pairs") and text(opened, "threshold-value") == "1.00"
    )
    assert image(opened) != first


@pytest.mark.slow
def test_pointing_tells_the_residues(opened):
    """In author numbering, as the keys do; where the pointer is, is where the plot says it is."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    frame = opened.find_element(By.ID, "map-frame")
    told = set()
    for x, y in ((60, -40), (90, -40)):
        ActionChains(opened).move_to_element_with_offset(frame, x, y).perform()
        told.add(text(opened, "pair"))
    assert len(told) == 2
    for words in told:
        assert re.fullmatch(r"[A-Z] A:\d+ and [A-Z] A:\d+, separation \d+: probability .*", words)
        first, second, apart = (
            int(number) for number in re.findall(r"(?:A:|separation )(\d+)", words)
        )
        assert second - first == apart


@pytest.mark.slow
def test_keys_and_chains(opened):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    frame = opened.find_element(By.ID, "map-frame")
    opened.execute_script("arguments[0].focus()", frame)
    opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    told = text(opened, "pair")
    assert "separation" in told and "probability" in told and "A:" in told
    opened.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert text(opened, "pair") != told
    before = image(opened)
    opened.find_element(By.ID, "next").click()
    drawn(opened, "2")
    assert image(opened) != before
    assert opened.execute_script("return document.getElementById('chain').value") == "1"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_wide_and_narrow_screens_without_errors(opened, width):
    opened.set_window_size(width, 900)
    shown = opened.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert shown[0] <= shown[1]
    entries = opened.get_log("browser")
    assert [entry for entry in entries if entry["level"] in ("SEVERE", "WARNING")] == []
