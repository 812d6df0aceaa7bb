"""
strategies.py: Hypothesis strategies for tables with rows, and for specifications that fit them.

Everything is drawn, nothing is random on the side, so that every part shrinks: a failing example ends as few columns, few rows and
one clause.  Literals are mostly taken from the rows, since a comparison that never finds an equal proves little.
"""
from collections import namedtuple

from hypothesis import strategies as st

import kinds
import values as v
from kinds import CHOICES, CONTAINER, TEXTUAL, choice
from tree import NEGATABLE, And, Bool, Clause, Not, Operand, Or

ID = '#'                                  # the column that numbers the rows; no specification names it
RELATION = 'prop."Items.1"'               # the relation of the example; lives in one transaction
ODD_NAMES = ['select', 'and', 'Upper', 'a.b', 'with space', 'quo"te', "apo's", 'größe', 'null', 'x y.z[0]', '$1', '1st', 'true', 'is', '{', 'array',
             'back\\slash', 'like', '-- no', 'date', '日本', 'n' * 63, '%s', 'e_\U0001f600']
server = {'version': 0}                   # set when a database is connected
SHAPES = ['plain', 'plain', 'dropped', 'added', 'partitioned', 'view', 'inherited', 'generated']

Column = namedtuple('Column', 'name kind not_null')

styles = st.integers(0, 11)
percent = st.integers(0, 99)


class Table(namedtuple('Table', 'columns rows shape')):
    """columns: of Column; rows: of tuples of Val, in the order of the columns; shape: one of SHAPES."""
    __slots__ = ()

    def keys(self):
        """The rows as the oracle reads them."""
        return [{column.name: (column.kind, val.key) for column, val in zip(self.columns, row)} for row in self.rows]

    def definition(self, column):
        return '%s %s%s' % (v.quote_ident(column.name), column.kind.ddl, ' NOT NULL' if column.not_null else '')

    def sql(self):
        """The statements that make the relation and its rows."""
        columns = [v.quote_ident(ID) + ' int NOT NULL'] + [self.definition(column) for column in self.columns]
        base, names, after = RELATION, [ID] + [column.name for column in self.columns], []
        rows = self.rows
        if self.shape == 'dropped':
            columns = ['gone_1 text'] + columns[:2] + ['gone_2 int'] + columns[2:]
            before = 'CREATE TABLE %s (%s); ALTER TABLE %s DROP COLUMN gone_1, DROP COLUMN gone_2;' % (base, ', '.join(columns), base)
        elif self.shape == 'added':
            before = 'CREATE TABLE %s (%s);' % (base, ', '.join(columns[:-1]))
            value = 'NULL' if self.rows[0][-1].text is None else v.quote_literal(self.rows[0][-1].text)
            after = ['ALTER TABLE %s ADD COLUMN %s DEFAULT %s;' % (base, columns[-1], value)]
            names, rows = names[:-1], [row[:-1] for row in self.rows]
        elif self.shape == 'partitioned':
            before = ('CREATE TABLE {0} ({1}) PARTITION BY RANGE ("#"); CREATE TABLE prop.part_1 ({2}); '
                      'ALTER TABLE {0} ATTACH PARTITION prop.part_1 FOR VALUES FROM (0) TO (3); '
                      'CREATE TABLE prop.part_2 PARTITION OF {0} DEFAULT;').format(base, ', '.join(columns), ', '.join(reversed(columns)))
        elif self.shape == 'generated':
            # the last column is the first again
            virtual = server['version'] >= 180000 and '.' not in self.columns[-1].kind.ddl
            columns[-1] += ' GENERATED ALWAYS AS (%s) %s' % (v.quote_ident(self.columns[0].name), 'VIRTUAL' if virtual else 'STORED')
            before = 'CREATE TABLE %s (%s);' % (base, ', '.join(columns))
            names, rows = names[:-1], [row[:-1] for row in self.rows]
        elif self.shape == 'inherited':
            return self.inherited_sql(names)
        elif self.shape == 'view':
            base = 'prop.base'
            before = 'CREATE TABLE %s (%s); CREATE VIEW %s AS SELECT * FROM %s;' % (base, ', '.join(columns), RELATION, base)
        else:
            before = 'CREATE TABLE %s (%s);' % (base, ', '.join(columns))
        statements = [before]
        if rows:
            statements.append(self.insert_sql(base, names, enumerate(rows)))
        return '\n'.join(statements + after)

    def insert_sql(self, relation, names, rows):
        lines = ['(' + ', '.join([str(number)] + ['NULL' if val.text is None else v.quote_literal(val.text) for val in row]) + ')'
                 for number, row in rows]
        return 'INSERT INTO %s (%s) VALUES %s;' % (relation, ', '.join(map(v.quote_ident, names)), ', '.join(lines))

    def inherited_sql(self, names):
        """Every second row is in a child, whose columns stand in another order, and may be NULL where the parent's may not."""
        columns = [v.quote_ident(ID) + ' int'] + ['%s %s' % (v.quote_ident(column.name), column.kind.ddl) for column in self.columns]
        statements = ['CREATE TABLE %s (%s); CREATE TABLE prop.child (%s); ALTER TABLE prop.child INHERIT %s;'
                      % (RELATION, ', '.join(columns), ', '.join(reversed(columns)), RELATION)]
        statements += ['SELECT prop.not_null_here(%s, %s);' % (v.quote_literal(RELATION), v.quote_literal(column.name))
                       for column in self.columns if column.not_null]
        for relation, first in ((RELATION, 0), ('prop.child', 1)):
            if len(self.rows) > first:
                statements.append(self.insert_sql(relation, names, list(enumerate(self.rows))[first::2]))
        return '\n'.join(statements)


def fields(pool):
    """Strategy of (percent, odd name, kind, NOT NULL, values) for one column; each has as many values as it likes."""
    if pool not in FIELD_POOLS:
        FIELD_POOLS[pool] = st.one_of([FIELDS[kind.name] for kind in pool])
    return FIELD_POOLS[pool]


def field_strategy(kind):
    # three of four values are not NULL
    nullable = st.one_of(kind.values, kind.values, st.just(v.NULL), kind.values)
    name = st.one_of(st.none(), st.none(), st.none(), st.none(), st.sampled_from(ODD_NAMES))
    lists = st.one_of(st.tuples(st.just(False), st.lists(nullable, max_size=8)), st.tuples(st.just(False), st.lists(nullable, max_size=8)),
                      st.tuples(st.just(False), st.lists(nullable, max_size=8)), st.tuples(st.just(True), st.lists(kind.values, min_size=1, max_size=8)))
    return st.tuples(name, st.just(kind), lists)


FIELD_POOLS = {}
FIELDS = {kind.name: field_strategy(kind) for kind in kinds.KINDS + kinds.COLLATED_KINDS + kinds.DOCUMENT_KINDS}
shapes = st.sampled_from(SHAPES)


@st.composite
def tables(draw, pool=tuple(kinds.KINDS), max_columns=6, shape=None):
    """
    A table of 1 to max_columns columns whose kinds are of the pool.  Columns are drawn whole, with their values, and shorter
    ones are filled up with NULL (with their last value where that is not allowed): so a column can be taken out when a failure shrinks.
    """
    drawn = draw(st.lists(fields(pool), min_size=1, max_size=max_columns))
    columns, taken = [], set()
    for number, (name, kind, (not_null, _)) in enumerate(drawn):
        name = 'abcdef'[number] if name is None or name in taken else name
        taken.add(name)
        columns.append(Column(name, kind, not_null))
    height = max(len(vals) for _, _, (_, vals) in drawn)
    filled = [vals + [vals[-1] if not_null else v.NULL] * (height - len(vals)) for _, _, (not_null, vals) in drawn]
    shape = shape or draw(shapes)
    if shape == 'added':
        if height == 0:
            shape = 'plain'
        else:
            filled[-1] = filled[-1][:1] * height
    elif shape == 'generated':
        if len(columns) == 1:
            shape = 'plain'
        else:
            columns[-1], filled[-1] = columns[0]._replace(name=columns[-1].name), filled[0]
    elif shape == 'inherited':
        filled = [[v.NULL if not_null and number == 1 else val for number, val in enumerate(vals)]
                  for vals, (_, _, (not_null, _)) in zip(filled, drawn)]
    return Table(tuple(columns), tuple(zip(*filled)) if height else (), shape)


# ---------------------------------------------------------------------------------------------------------------------
# Operands
# ---------------------------------------------------------------------------------------------------------------------
def draw_operand(draw, kind, pool):
    """A literal for the kind; pool: values of the field in the rows."""
    where = draw(percent)
    if pool and where < 60:
        return Operand(*kind.literal(draw, pool[draw(st.integers(0, len(pool) - 1))]))
    if where >= 85:
        stray = kind.stray(draw)
        if stray is not None:
            return Operand(*stray)
    return Operand(*kind.literal(draw, draw(kind.values)))


# the server hashes the lists of nine and more
list_lengths = st.sampled_from([0, 1, 1, 2, 2, 3, 4, 10])
NULL_OPERAND = Operand(v.NULL_LIT, None)
like_tokens = st.lists(st.sampled_from(['%', '_', 'a', 'b', 'A', '\\%', '\\_', '\\\\', '\\a', '.', 'é', '😀', "'", ' ', '1']), max_size=5).map(''.join)


def draw_pattern(draw, text):
    """A LIKE pattern: of a text that exists with some characters replaced, or free."""
    if text is None or draw(percent) >= 60:
        return draw(like_tokens)
    made = []
    for char in text[:12]:
        which = draw(percent)
        if which < 60:
            made.append('\\' + char if char in '%_\\' else char)
        elif which < 80:
            made.append('_')
        elif which < 90:
            made.append('%')
    return ''.join(made) + ('%' if len(text) > 12 or draw(percent) >= 50 else '')


# a regular expression as PostgreSQL writes it, and as Python does
atoms = st.sampled_from([('a', 'a'), ('b', 'b'), ('A', 'A'), ('.', '.'), ('[ab]', '[ab]'), ('[^a]', '[^a]'), ('1', '1'), ('\\.', '\\.'), ('%', '%'), ('é', 'é'),
                         ('[a-c]', '[a-c]'), ('(a|b)', '(a|b)'), ('(ab)', '(ab)'), (' ', ' ')])


def quantify(pair):
    return pair[0][0] + pair[1], pair[0][1] + pair[1]


def join_pieces(parts):
    before, pieces, after = parts
    return tuple(before[side] + ''.join(piece[side] for piece in pieces) + after[side] for side in (0, 1))


def join_branches(branches):
    return '|'.join(branch[0] for branch in branches), '|'.join(branch[1] for branch in branches)


quantified = st.tuples(atoms, st.sampled_from(['', '', '', '*', '+', '?', '{2}', '{0,2}'])).map(quantify)
anchors = st.sampled_from([('', ''), ('^', '^')]), st.sampled_from([('', ''), ('$', r'\Z')])
branch = st.tuples(anchors[0], st.lists(quantified, min_size=1, max_size=3), anchors[1]).map(join_pieces)
regexes = st.lists(branch, min_size=1, max_size=2).map(join_branches)


def draw_text_operand(draw, op, texts):
    """The operand of LIKE and its kin; texts: what the rows hold there."""
    text = texts[draw(st.integers(0, len(texts) - 1))] if texts and draw(percent) < 70 else None
    if op in ('match', 'imatch'):
        pattern, python = draw(regexes)
        return Operand(v.string(pattern), python)
    if op == 'starts_with':
        prefix = text[:draw(st.integers(0, 3))] if text is not None else draw(kinds.texts)
    else:
        prefix = draw_pattern(draw, text)
    return Operand(v.string(prefix), prefix)


# ---------------------------------------------------------------------------------------------------------------------
# Clauses
# ---------------------------------------------------------------------------------------------------------------------
@st.composite
def table_clauses(draw, table, operators=None):
    """A clause over one of the table's columns; operators: the only ones wanted."""
    number = draw(st.integers(0, len(table.columns) - 1))
    column = table.columns[number]
    path, kind, vals = (column.name,), column.kind, [row[number].key for row in table.rows]
    texts = [row[number].text for row in table.rows]
    while kind.fields and draw(percent) < 90:
        part = draw(st.integers(0, len(kind.fields) - 1))
        path += (kind.fields[part][0],)
        kind, vals, texts = kind.fields[part][1], [None if val is None else val[part] for val in vals], None
    if isinstance(kind, kinds.Jsonb) and draw(percent) < 75:
        return draw_json_clause(draw, path, [val for val in vals if val is not None])
    pool = [v.Val(text, key) for text, key in zip(texts, vals) if key is not None] if texts else []
    return draw_typed_clause(draw, path, kind, pool, operators)


def draw_typed_clause(draw, path, kind, pool, operators=None):
    ops = kind.ops + ('is_null',)
    if operators:
        ops = [op for op in ops if op in operators] or ['eq']
    op = ops[draw(st.integers(0, len(ops) - 1))]
    if op == 'is_null':
        operands = ()
    elif op in TEXTUAL:
        operands = (draw_text_operand(draw, op, [val.text for val in pool]),)
    elif op == 'in':
        operands = tuple(NULL_OPERAND if draw(percent) >= 90 else draw_operand(draw, kind, pool) for _ in range(draw(list_lengths)))
    elif op == 'between':
        operands = (draw_operand(draw, kind, pool), draw_operand(draw, kind, pool))
    elif op in CONTAINER:
        operands = (draw_container_operand(draw, kind, pool),)
    else:
        operands = (draw_operand(draw, kind, pool),)
    return finish_clause(draw, path, op, operands)


def finish_clause(draw, path, op, operands):
    return Clause(path, op, op in NEGATABLE and draw(percent) >= 60, operands, draw(styles))


def draw_container_operand(draw, kind, pool):
    """For @> and its kin: often a part of a value that exists."""
    if isinstance(kind, kinds.Array) and pool and draw(percent) < 50:
        keys = pool[draw(st.integers(0, len(pool) - 1))].key
        keep = draw(st.integers(0, 2 ** len(keys) - 1))
        part = [key for place, key in enumerate(keys) if keep >> place & 1]
        return Operand(*kind.literal(draw, kind.val(part)))
    return draw_operand(draw, kind, pool)


# ---------------------------------------------------------------------------------------------------------------------
# Clauses on paths into jsonb
# ---------------------------------------------------------------------------------------------------------------------
JSON_OPS = ('eq', 'in', 'is_null', 'eq', 'in', 'is_null', 'lt', 'le', 'gt', 'ge', 'between') + TEXTUAL + ('contains', 'contained_by', 'overlaps')


def draw_json_path(draw, documents):
    """Steps into one of the documents (tagged values), now and then off the path."""
    value = documents[draw(st.integers(0, len(documents) - 1))] if documents else ('object', ())
    steps = []
    while len(steps) < 3:
        astray = draw(percent) >= 85
        if value is not None and value[0] == 'object' and value[1] and not astray:
            name, value = value[1][draw(st.integers(0, len(value[1]) - 1))]
            steps.append(name)
        elif value is not None and value[0] == 'array' and not astray:
            count = len(value[1])
            index = draw(st.integers(-count, count - 1)) if count and draw(percent) < 75 else draw(st.integers(-3, 3))
            steps.append(index)
            value = value[1][index] if -count <= index < count else None
        else:
            steps.append(draw(st.sampled_from(kinds.JSON_NAMES[:3] + kinds.JSON_NAMES[4:] + [0])))
            value = None
        if value is None or draw(percent) < {'array': 25, 'object': 35}.get(value[0], 80):
            break
    return tuple(steps), value


def draw_json_operand(draw, value):
    """An untyped literal, often the value that is there (a tagged value, or None)."""
    if value is not None and value[0] in ('num', 'str', 'bool') and draw(percent) < 60:
        return Operand(kinds.json_scalar(value), None)
    which = draw(percent)
    if which < 40:
        return Operand(v.num(str(draw(st.integers(-2, 3)))), None)
    if which < 50:
        return Operand(v.num(draw(st.sampled_from(['1.0', '0.5', '1e0', '-1.25', '1e20', '99999999999999999999', '0.1']))), None)
    if which < 85:
        return Operand(v.string(draw(st.sampled_from(['', 'a', 'b', 'ab', 'red', '1', 'true', 'null', '"', '\\', 'é', '😀', 'B']))), None)
    return Operand((v.FALSE, v.TRUE)[choice(draw, 2)], None)


def draw_json_clause(draw, base, documents, root=False):
    """A clause on a path into the jsonb field base; root: the document itself is the row."""
    steps, value = draw_json_path(draw, documents)
    if root and isinstance(steps[0], int):
        steps = ('a',) + steps[1:]
    op = JSON_OPS[draw(st.integers(0, len(JSON_OPS) - 1))]
    if steps == ('when',) and op in ('eq', 'in', 'lt', 'le', 'gt', 'ge', 'between') and draw(percent) < 80:
        return draw_json_date_clause(draw, base + steps, op, value)
    if op == 'is_null':
        operands = ()
    elif op in TEXTUAL:
        operands = (draw_text_operand(draw, op, [value[1]] if value is not None and value[0] == 'str' else []),)
    elif op in CONTAINER:
        items = value[1] if value is not None and value[0] == 'array' else ()
        scalars = [kinds.json_scalar(item) for item in items if item[0] not in ('array', 'object')]
        scalars = [lit for lit in scalars if draw(percent) < 60] + [draw_json_operand(draw, None).lit for _ in range(draw(CHOICES[2]))]
        operands = (Operand(v.array(scalars), None),)
    elif op == 'in':
        operands = tuple(NULL_OPERAND if draw(percent) >= 90 else draw_json_operand(draw, value) for _ in range(draw(list_lengths)))
    else:
        operands = tuple(draw_json_operand(draw, value) for _ in range(2 if op == 'between' else 1))
    return finish_clause(draw, base + steps, op, operands)


def draw_json_date_clause(draw, path, op, value):
    """Typed literals: the JSON string is read as a date."""
    def operand():
        if value is not None and value[0] == 'str' and draw(percent) < 60:
            text = value[1]
        else:
            text = draw(kinds.ISO_DATES)
        return Operand(v.typed('date', text), kinds.read_date(text))
    count = {'in': draw(CHOICES[3]), 'between': 2}.get(op, 1)
    return finish_clause(draw, path, op, tuple(operand() for _ in range(count)))


# ---------------------------------------------------------------------------------------------------------------------
# Specifications
# ---------------------------------------------------------------------------------------------------------------------
@st.composite
def specs(draw, clause, depth=3):
    """A specification; clause: strategy of a leaf."""
    which = draw(percent)
    if depth == 0 or which < 40:
        return draw(clause)
    if which >= 94:
        return Bool(which >= 97)
    inner = specs(clause, depth - 1)
    if which >= 76:
        return Not(draw(inner), draw(styles))
    args = tuple(draw(st.lists(inner, min_size=2, max_size=4)))
    return (And if which < 58 else Or)(args, draw(styles))


def table_specs(table, depth=3):
    return specs(table_clauses(table), depth)


@st.composite
def document_clauses(draw, documents):
    """A clause over whole documents."""
    return draw_json_clause(draw, (), documents, root=True)


@st.composite
def cases(draw, count=1, depth=3, **arguments):
    """A table and some specifications over it: (table, spec), or with count (table, spec, spec, ...)."""
    table = draw(tables(**arguments))
    return (table,) + tuple(draw(table_specs(table, depth)) for _ in range(count))
