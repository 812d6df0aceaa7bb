"""
test_law_b05_pages.py: the pages of a list, one after the other, are the whole list, without repeats, under any order.
"""
from hypothesis import given, strategies as st

import kinds
import oracle
import strategies
import tree
import values as v
from laws import law
from strategies import ID, RELATION

SPEC = '::apibase.spec'
DIRECTIONS = ['', ' asc', ' desc', ' DESC NULLS FIRST', ' desc nulls last', ' nulls first', ' asc nulls last']


@st.composite
def list_cases(draw):
    """A table, a specification or None, an order, the direction of the number of the row (None: it is the primary key), the length of a page."""
    table = draw(strategies.tables(pool=tuple(kinds.KINDS + kinds.COLLATED_KINDS), max_columns=4))
    spec = draw(st.one_of(st.none(), strategies.table_specs(table, 1))) if all(column.kind in kinds.KINDS for column in table.columns) else None
    order = []
    for number in draw(st.lists(st.integers(0, len(table.columns) - 1), max_size=3)):
        path, kind = (table.columns[number].name,), table.columns[number].kind
        while kind.fields and draw(st.booleans()):
            name, kind = draw(st.sampled_from(kind.fields))
            path += (name,)
        if kind is kinds.JSONB:
            path += draw(st.sampled_from([('a',), ('b',), ('tags', 0), ('a', 'b')]))
        if path not in [item[0] for item in order]:
            order.append((path, draw(st.sampled_from(DIRECTIONS)), draw(strategies.styles)))
    last = draw(st.sampled_from(DIRECTIONS + [None] * 4)) if table.shape not in ('view', 'inherited') else draw(st.sampled_from(DIRECTIONS))
    return table, spec, order, last, draw(st.integers(1, 4))


def native_order(order, last):
    """The same order as SQL; not for paths into documents, where JSON null is NULL."""
    items = []
    for path, direction, _ in order:
        items.append((v.quote_ident(path[0]) if len(path) == 1 else '(%s).%s' % (v.quote_ident(path[0]), '.'.join(map(v.quote_ident, path[1:])))) + direction)
    if last is None:       # the primary key follows in the direction of the last key
        last = ' desc' if order and 'desc' in order[-1][1].lower() else ''
    return ', '.join(items + ['"%s"%s' % (ID, last)])


@law()
@given(list_cases())
def test_law_b05_keyset_pages(db, case):
    """find(... after the last row of the page before ...), until a page is not full."""
    table, spec, order, last, size = case
    keys = [tree.path_text(path, style) + direction for path, direction, style in order] + ([] if last is None else ['"%s"%s' % (ID, last)])
    arguments = 'NULL::%s, %s, %s' % (RELATION, 'NULL' if spec is None else v.quote_literal(tree.spec_text(spec)) + SPEC, v.quote_literal(', '.join(keys)))
    expected = {number for number, row in enumerate(table.keys()) if spec is None or oracle.satisfied(spec, row)}
    with db.example():
        db.run(table.sql())
        if last is None:
            db.run('ALTER TABLE %s ADD PRIMARY KEY ("%s")' % (RELATION, ID))
        whole = [row[0] for row in db.run('SELECT "#" FROM apibase.find(%s)' % arguments)]
        assert set(whole) == expected and len(whole) == len(expected), (table.sql(), arguments, whole)
        if not any(leads_into_document(table, path) for path, _, _ in order):
            native = db.run('SELECT "#" FROM %s ORDER BY %s' % (RELATION, native_order(order, last)))
            assert whole == [row[0] for row in native if row[0] in expected], '%s\nSELECT * FROM apibase.find(%s)\ngot %s' % (table.sql(), arguments, whole)
        paged, after = [], 'NULL'
        while len(paged) <= len(whole):
            sql = 'SELECT "#", to_jsonb(f)::text FROM apibase.find(%s, "limit" => %d, after => %s) f' % (arguments, size, after)
            page = db.run(sql)
            assert len(page) <= size
            paged += [row[0] for row in page]
            if len(page) < size:
                break
            after = v.quote_literal(page[-1][1])
        assert paged == whole, '%s\n%s\nwhole %s, paged %s' % (table.sql(), sql, whole, paged)
        offset = size * 2 - 1
        skipped = db.run('SELECT "#" FROM apibase.find(%s, %d, %d)' % (arguments, size, offset))
        assert [row[0] for row in skipped] == whole[offset:offset + size], (table.sql(), arguments, size, offset)


def leads_into_document(table, path):
    kind = next(column.kind for column in table.columns if column.name == path[0])
    for step in path[1:]:
        if not kind.fields:
            break
        kind = dict(kind.fields)[step]
    return kind is kinds.JSONB
