"""Chromium without a window, and a plain HTTPS client for what a browser does not do."""
import http.client
import os
import re
import ssl
import tempfile
import urllib.parse

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--ignore-certificate-errors", "--disable-dev-shm-usage"]


class Browser:
    """One browser with a profile of its own; javascript=False runs no script of any page."""

    def __init__(self, javascript=True):
        self.profile = tempfile.TemporaryDirectory(prefix="sp-chromium-")
        self.downloads = os.path.join(self.profile.name, "downloads")
        os.mkdir(self.downloads)
        options = webdriver.ChromeOptions()
        for flag in [*FLAGS, f"--user-data-dir={self.profile.name}"]:
            options.add_argument(flag)
        if not javascript:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver", log_path=os.devnull), options=options)
        self.driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": self.downloads})

    def quit(self):
        self.driver.quit()
        self.profile.cleanup()

    def open(self, url):
        self.driver.get(url)

    def find(self, selector):
        return self.wait(lambda d: d.find_element(By.CSS_SELECTOR, selector))

    def find_all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def submit(self, selector):
        """Clicks and waits until the page has changed."""
        page = self.driver.find_element(By.TAG_NAME, "html").id
        self.find(selector).click()
        self.wait(lambda d: d.find_element(By.TAG_NAME, "html").id != page)

    def wait(self, condition, seconds=60):
        return WebDriverWait(self.driver, seconds, poll_frequency=0.05,
                             ignored_exceptions=[Exception]).until(condition)

    def downloaded(self, name):
        """The bytes of a finished download. Chromium takes the name with an empty file, and puts the whole one in its place."""
        path = os.path.join(self.downloads, name)
        self.wait(lambda d: os.path.getsize(path) > 0)
        with open(path, "rb") as file:
            return file.read()


class Https:
    """Requests to the portal from a chosen address, without redirects; cookies are kept by hand."""

    def __init__(self, gateway, source="127.0.0.1"):
        self.address = gateway.info["portal"]["host"], gateway.info["portal"]["port"]
        self.context = ssl.create_default_context(cafile=gateway.info["ca"])
        self.source = source

    def send(self, method, path, form=None, cookie=None, headers=None):
        """The connection and the answer, of which nothing but the head is read yet."""
        connection = http.client.HTTPSConnection(*self.address, context=self.context, timeout=60,
                                                 source_address=(self.source, 0))
        headers = dict(headers or {})
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if cookie:
            headers["Cookie"] = cookie
        connection.request(method, path, body=body, headers=headers)
        return connection, connection.getresponse()

    def ask(self, *words, **named):
        connection, answer = self.send(*words, **named)
        answer.content = answer.read()
        connection.close()
        return answer

    def drain(self, *words, **named):
        """Reads an answer to its end and keeps nothing of it. Returns its size."""
        connection, answer = self.send(*words, **named)
        assert answer.status == 200, answer.status
        size = 0
        while piece := answer.read(65536):
            size += len(piece)
        connection.close()
        return size


def cookie_of(answer):
    return answer.getheader("Set-Cookie").split(";")[0]


def token_of(link):
    return link.split("#", 1)[1]


def link_in(notice):
    return re.search(rb"https://\S+/p#[A-Za-z0-9_-]{43}", unfold(notice)).group(0).decode()


def code_in(mail):
    return re.search(rb"Your code is (\d{4} \d{4})", mail).group(1).decode()


def unfold(mail):
    """Undoes quoted-printable line ends and equals signs, where a notice uses them."""
    return mail.replace(b"=\r\n", b"").replace(b"=3D", b"=")
