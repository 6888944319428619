"""The connectors of the providers that the policy names, from the settings and secret files."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from privacy.ads import ProviderName
from sinks.ads import ga4, google_ads, linkedin, meta, x
from sinks.ads.contract import Connector
from streams.egress import Egress, ForbiddenError, host_of, is_loopback
from streams.settings import Settings, SettingsError

Account = TypeVar("Account")


def connector(name: ProviderName, settings: Settings) -> Connector:
    """Return one. Raises SettingsError that names the setting or the secret file."""
    made = _BUILDERS[name](settings, Secrets(settings.secrets / "ads"))
    egress(name, settings)
    return made


def egress(name: ProviderName, settings: Settings) -> Egress:
    """Return where one's connector may send to: its provider, and what the settings name besides.

    Raises SettingsError for an address of a host that is neither the provider's, nor this machine,
    nor named in ``ads.other_hosts``: a slip in an address would tell a stranger all.
    """
    section = name.replace("-", "_")
    account: Mapping[str, Any] = getattr(settings.ads, section)
    urls = {each: account[each] for each in sorted(_URLS & account.keys())}
    hosts = _HOSTS[name] | frozenset(settings.ads.other_hosts)
    for setting, url in urls.items():
        try:
            host = host_of(url)
            if is_loopback(host):
                hosts |= {host}
            Egress(hosts, clear=True).require(url)
        except ForbiddenError as error:
            rule = _RULES.get(str(error), "is no address to send to")
            raise SettingsError(f"ads.{section}.{setting}: {rule}") from None
    return Egress(hosts, clear=True)


class Secrets:
    """Reads secrets from files, anew at each use: a rotated one counts at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def reader(self, name: str) -> Callable[[], str]:
        """Return what reads a file. Raises SettingsError when it is not there."""
        path = self._folder / name
        if not path.is_file():
            raise SettingsError(f"secret file {path}: is missing; write the credential into it")
        return lambda: path.read_text().strip()

    def has(self, name: str) -> bool:
        """Tell whether a file is there."""
        return (self._folder / name).is_file()


def _ga4(settings: Settings, secrets: Secrets) -> Connector:
    account = _account(ga4.Account, "ga4", settings.ads.ga4)
    readers = {
        stream.measurement_id: secrets.reader(f"ga4-{stream.measurement_id}")
        for stream in account.streams.values()
    }
    return ga4.GA4(account, lambda stream: readers[stream](), secrets.reader("ga4-admin-token"))


def _google_ads(settings: Settings, secrets: Secrets) -> Connector:
    account = _account(google_ads.Account, "google_ads", settings.ads.google_ads)
    return google_ads.GoogleAds(account, secrets.reader("google-ads-token"))


def _linkedin(settings: Settings, secrets: Secrets) -> Connector:
    account = _account(linkedin.Account, "linkedin", settings.ads.linkedin)
    return linkedin.LinkedIn(account, secrets.reader("linkedin-token"))


def _meta(settings: Settings, secrets: Secrets) -> Connector:
    account = _account(meta.Account, "meta", settings.ads.meta)
    proof = secrets.reader("meta-app-secret") if secrets.has("meta-app-secret") else None
    return meta.Meta(account, secrets.reader("meta-token"), proof)


def _x(settings: Settings, secrets: Secrets) -> Connector:
    account = _account(x.Account, "x", settings.ads.x)
    pixel = secrets.reader("x-pixel-token") if secrets.has("x-pixel-token") else None
    if pixel is not None and account.ads_account is None:
        return x.X(account, None, pixel)
    names = ("consumer-key", "consumer-secret", "token", "token-secret")
    readers = [secrets.reader(f"x-{each}") for each in names]
    return x.X(account, lambda: x.OAuth(*(read() for read in readers)), pixel)


_HOSTS: Mapping[str, frozenset[str]] = {
    "ga4": ga4.HOSTS,
    "google-ads": google_ads.HOSTS,
    "linkedin": linkedin.HOSTS,
    "meta": meta.HOSTS,
    "x": x.HOSTS,
}
_URLS = {"base_url", "admin_url"}
_RULES = {
    "ForeignHost": "is of a host that is not the provider's; name that in ads.other_hosts as well",
    "PrivateAddress": "is of a private network",
    "InTheClear": "must be https://",
}

_BUILDERS: Mapping[str, Callable[[Settings, Secrets], Connector]] = {
    "ga4": _ga4,
    "google-ads": _google_ads,
    "linkedin": _linkedin,
    "meta": _meta,
    "x": _x,
}


def _account(kind: type[Account], name: str, content: Mapping[str, Any]) -> Account:
    strange = content.keys() - {each.name for each in fields(kind)}  # type: ignore[arg-type]
    if strange:
        raise SettingsError(f"ads.{name}: there is no {', '.join(sorted(strange))}")
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(
                f"ads.{name}.{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            )
        ) from None
