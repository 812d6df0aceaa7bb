"""
test_laws_documented.py: docs/laws.md names every test of a law, and no other.
"""
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent


def test_laws_documented():
    written = {name for path in HERE.glob('test_law_*.py') for name in re.findall(r'^def (test_law_\w+)', path.read_text('utf-8'), re.M)}
    documented = set(re.findall(r'`(test_law_\w+)`', (HERE.parent.parent / 'docs' / 'laws.md').read_text('utf-8')))
    assert written == documented, {'not documented': sorted(written - documented), 'not there': sorted(documented - written)}
