#!/usr/bin/env python3
"""Validates JUnit files against junit-10.xsd, the schema of the Jenkins xUnit plugin.

    python3 .ci/junit_xsd.py reports/junit.xml...

The schema is taken, at check time, out of the source package of pytest 8.4.2, which carries an identical copy, and its
digest is checked. lxml is installed into a temporary folder if it is not there. Prints OK; anything else is exit 1.
"""

import hashlib
import pathlib
import subprocess
import sys
import tarfile
import tempfile

PACKAGE = "pytest==8.4.2"
MEMBER = "testing/example_scripts/junit-10.xsd"
SHA256 = "a1a816f58d1bf95ebabf371994df0b9246dee66ea9572fbec4f9296f1b2c0ff6"


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def schema(folder):
    """The bytes of the schema, downloaded into the folder."""
    pip("download", "--no-deps", "--no-binary", ":all:", "--dest", folder, PACKAGE)
    [package] = pathlib.Path(folder).glob("*.tar.gz")
    with tarfile.open(package) as archive:
        [member] = [name for name in archive.getnames() if name.endswith("/" + MEMBER)]
        content = archive.extractfile(member).read()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise SystemExit(f"{MEMBER} is not the schema that this check was written for")
    return content


def load_etree(folder):
    """lxml, installed into the folder if need be."""
    try:
        from lxml import etree
    except ImportError:
        pip("install", "--target", folder, "lxml")
        sys.path.insert(0, folder)
        from lxml import etree
    return etree


def main(paths):
    if not paths:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        content = schema(folder)
        etree = load_etree(folder)
        xsd = etree.XMLSchema(etree.fromstring(content))
        # What a merger or a CI server would refuse must fail here: entities, document types, the network.
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        failed = False
        for path in paths:
            try:
                document = etree.parse(path, parser)
            except (OSError, etree.XMLSyntaxError) as error:
                print(f"{path}: {error}", file=sys.stderr)
                failed = True
                continue
            if not xsd.validate(document):
                for error in xsd.error_log:
                    print(f"{path}:{error.line}: {error.message}", file=sys.stderr)
                failed = True
        if failed:
            raise SystemExit(1)
    print("OK")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{error}") from None
