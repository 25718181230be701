"""What to do next after an error of an update server, by its code, for the agent and for ``publish``."""

from __future__ import annotations

from collections.abc import Mapping

SERVER_ADVICE: Mapping[str, str] = {
    "tls-untrusted": "Check the address. For a private authority, give its certificates (--ca, or ca in AGENT.toml).",
    "tls": "Check that the address is that of the server's TLS port.",
    "tls-files": "Check the file: certificates and keys are in PEM.",
    "name": "Check the address, and the name service of this computer.",
    "connect": "Check the address, and that the server runs. Run the same command again to continue.",
    "proxy": "Check the address of the proxy (--proxy, or proxy in AGENT.toml).",
    "proxy-refused": "Ask the administrator of the proxy to allow this computer to reach the server without a login.",
    "timeout": "Run the same command again to continue.",
    "lost": "Run the same command again to continue.",
    "web-page": "Check the address: it is what comes before /rest or the tenant.",
    "publish-one-image": "`smpdfu package` makes a package of images.",
    "publish-known-key": "Sign it with a key of your own. For a trial, use --allow-dev-keys.",
    "publish-content": "Build it with a new version, or give another --name or --version. To replace what is there, "
    "delete it in hawkBit first.",
    "publish-rollout": "Give another --rollout name, or the same values as before.",
    "publish-without-tls": "Use https. For a trial in a network of your own, use --insecure-http.",
    "publish-login": "Check --user and the password, or the token.",
    "publish-rights": "hawkBit's administrator gives the login the rights to read, create and update the repository, "
    "and for a rollout those to create and handle rollouts.",
    "publish-address": "Check --server: it is the address before /rest/v1.",
    "publish-refused": "Check the options: the server's words say what it does not take.",
    "publish-targets": "Check --targets. A query is such as name==roof-*; you can try it in the search "
    "field of hawkBit's targets.",
    "publish-later": "Run the same command again later: it takes what is there.",
    "publish-tenant": "Check --tenant, or log in with a user of that tenant.",
    "rollout-error_threshold": "hawkBit's page of the rollout shows all failed devices. Publish a corrected package "
    "with a new version, and give it a new --rollout name.",
    "rollout-stopped": "A new --rollout name starts another one.",
    "rollout-denied": "hawkBit's page of the rollout shows who denied it, and why.",
    "rollout-deleted": "Run the same command again to create it again.",
    "rollout-not-started": "Run the same command again with --start, or use --watch.",
}
