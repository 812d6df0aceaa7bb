"""
test_law_a05_forms.py: a specification keeps its meaning and its identity in every form: text, JSON, binary.
"""
import io
import re

from hypothesis import given, strategies as st

import strategies
import tree
import values as v
from laws import law

SPEC = '::apibase.spec'


@law()
@given(strategies.cases(max_columns=3))
def test_law_a05_text_and_json(db, case):
    """
    text -> spec -> text is stable; spec -> jsonb -> spec gives an equal specification; the JSON form and the text that say the same are the same
    specification; spec_clauses, spec_fields and spec_depth describe it.
    """
    _, spec = case
    text, form = v.quote_literal(tree.spec_text(spec)) + SPEC, v.quote_literal(tree.spec_json(spec))
    clauses = [clause for clause, _ in tree.clauses(spec)]
    with db.example():
        sql = ('SELECT s::text, s::text::apibase.spec OPERATOR(apibase.=) s, s::text::apibase.spec::text = s::text, s::jsonb, '
               's::jsonb::apibase.spec OPERATOR(apibase.=) s, s::jsonb::apibase.spec::jsonb = s::jsonb, apibase.spec_clauses(s), apibase.spec_fields(s), '
               'apibase.spec_depth(s) FROM (VALUES (%s)) t(s)' % text)
        canonical, same, stable, as_json, same_json, stable_json, count, fields, depth = db.run(sql)[0]
        assert same and stable and same_json and stable_json, (sql, canonical, as_json)
        assert count == len(clauses) and depth == json_depth(as_json), (sql, count, depth, as_json)
        paths = list(dict.fromkeys(clause.path for clause in clauses))
        assert len(fields) == len(paths), (sql, fields)
        for field, path in zip(fields, paths):
            assert field_path(field) == path, (sql, field, path)
        sql = ('SELECT a OPERATOR(apibase.=) b, b OPERATOR(apibase.=) c, c OPERATOR(apibase.=) d '
               'FROM (VALUES ({0}, {1}::apibase.spec, {2}::jsonb::apibase.spec, {2}::json::apibase.spec)) t(a, b, c, d)'
               ).format(text, v.quote_literal(tree.spec_text_as_json(spec)), form)
        alike = all(plain_number(lit) for lit in literals(spec))
        answers = db.run(sql)[0]
        assert answers[1:] == (True, True) and (answers[0] or not alike), (sql, answers)


def field_path(text):
    """The steps of a field's path as the language writes it: "quoted" or bare names, and [indexes]."""
    steps = []
    for quoted, bare, index in re.findall(r'"((?:[^"]|"")*)"|([^".\[\]]+)(?![^\[]*\])|\[(-?\d+)\]', text):
        steps.append(int(index) if index else bare or quoted.replace('""', '"'))
    return tuple(steps)


def literals(spec):
    for clause, _ in tree.clauses(spec):
        for operand in clause.operands:
            yield operand.lit
            yield from operand.lit.items or ()


def plain_number(lit):
    """Whether jsonb keeps the number's digits: 1e1 comes back as 10."""
    return lit.kind != 'num' or v.json_number(lit.text) == lit.text and 'e' not in lit.text.lower() and lit.text != '-0'


def json_depth(form):
    """A clause and a truth value have depth 1.  A negated clause that has no operator of its own is written as a not around the clause."""
    if not isinstance(form, dict) or 'field' in form:
        return 1
    if 'not' in form:
        return json_depth(form['not']) + ('field' not in form['not'])
    return 1 + max(json_depth(arg) for arg in form.get('and', form.get('or')))


@law()
@given(st.lists(strategies.cases(max_columns=1, depth=2), min_size=2, max_size=4))
def test_law_a05_binary_and_order(db, cases):
    """
    What binary COPY writes it reads back: equal values, equal text.  The comparison operators are one total order, which equality of the canonical
    text and the hashes follow.
    """
    texts = [tree.spec_text(spec) for _, spec in cases]
    texts.append(texts[0])
    with db.example():
        db.run('INSERT INTO prop.sent VALUES '
               + ', '.join('(%d, %s)' % (number, v.quote_literal(text)) for number, text in enumerate(texts)))
        buffer = io.BytesIO()
        with db.connection.cursor() as cursor:
            cursor.copy_expert('COPY prop.sent TO STDOUT (FORMAT binary)', buffer)
            buffer.seek(0)
            cursor.copy_expert('COPY prop.received FROM STDIN (FORMAT binary)', buffer)
        lawful, different, different_texts, same = db.run(ORDER_SQL)[0]
        assert lawful and different == different_texts and same == len(texts), (texts, lawful, different, different_texts, same)


ORDER_SQL = """
    WITH a AS MATERIALIZED (SELECT n, s, s::text AS t FROM prop.sent), b AS MATERIALIZED (SELECT n, s, s::text AS t FROM prop.received)
    SELECT (SELECT bool_and((a.s OPERATOR(apibase.=) b.s) = (a.t = b.t)
                   AND (a.s OPERATOR(apibase.<>) b.s) = (a.t <> b.t)
                   AND (a.s OPERATOR(apibase.<) b.s) = (apibase.spec_cmp(a.s, b.s) < 0)
                   AND (a.s OPERATOR(apibase.<=) b.s) = (apibase.spec_cmp(a.s, b.s) <= 0)
                   AND (a.s OPERATOR(apibase.>) b.s) = (apibase.spec_cmp(b.s, a.s) < 0)
                   AND (a.s OPERATOR(apibase.>=) b.s) = (apibase.spec_cmp(b.s, a.s) <= 0)
                   AND (a.s OPERATOR(apibase.<>) b.s OR apibase.spec_hash(a.s) = apibase.spec_hash(b.s)
                        AND apibase.spec_hash_extended(a.s, 7) = apibase.spec_hash_extended(b.s, 7))) FROM a, b)
               AND (SELECT bool_and(a.s OPERATOR(apibase.>=) b.s OR b.s OPERATOR(apibase.>=) c.s OR a.s OPERATOR(apibase.<) c.s) FROM a, b, a c),
           (SELECT count(DISTINCT s) FROM a), (SELECT count(DISTINCT t) FROM a),
           (SELECT count(*) FROM a JOIN b USING (n) WHERE a.s OPERATOR(apibase.=) b.s AND a.t = b.t)"""
