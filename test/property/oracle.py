"""
oracle.py: what a specification means, in Python, from the documentation alone.

satisfied(node, row) never asks the database.  A row is a dict: column name -> (kind, key); key None is NULL.
"""
import re

import kinds
import values as v
from tree import And, Bool, Clause, Not


def satisfied(node, row):
    """Whether the row satisfies the specification: two-valued."""
    return combine(node, lambda clause: clause_holds(clause, field(clause.path, row)))


def satisfied_document(node, value):
    """Whether a JSON document (a tagged value) satisfies the specification."""
    return combine(node, lambda clause: clause_holds(clause, ('json', json_at(value, clause.path))))


def combine(node, leaf):
    if isinstance(node, Bool):
        return node.value
    if isinstance(node, Clause):
        return leaf(node) != node.negated
    if isinstance(node, Not):
        return not combine(node.arg, leaf)
    if isinstance(node, And):
        return all(combine(arg, leaf) for arg in node.args)
    return any(combine(arg, leaf) for arg in node.args)


def clause_holds(clause, place):
    kind, key = place
    if kind == 'json':
        return json_holds(clause.op, key, clause.operands)
    return holds(clause.op, kind, key, [operand.key for operand in clause.operands])


def field(path, row):
    """(kind, key) of a column or a composite's field; ('json', tagged value or None) of a path into jsonb."""
    kind, key = row[path[0]]
    for depth, step in enumerate(path[1:], 1):
        if kind.fields:
            names = [name for name, _ in kind.fields]
            number = names.index(step)
            kind, key = kind.fields[number][1], None if key is None else key[number]
        else:
            return 'json', json_at(key, path[depth:])
    return kind, key


def json_at(value, steps):
    """The tagged value at a path; None where there is nothing or JSON null."""
    for step in steps:
        if value is None:
            return None
        if isinstance(step, int):
            # as -> has it, a scalar is its own only element
            items = value[1] if value[0] == 'array' else () if value[0] == 'object' else (value,)
            value = items[step] if -len(items) <= step < len(items) else None
        else:
            value = dict(value[1]).get(step) if value[0] == 'object' else None
    return None if value is None or value[0] == 'null' else value


# ---------------------------------------------------------------------------------------------------------------------
# Leaves
# ---------------------------------------------------------------------------------------------------------------------
def holds(op, kind, key, operands):
    """A leaf without its negation, on a typed field."""
    if op == 'is_null':
        return key is None
    if op == 'in':
        return any(equals(kind, key, operand) for operand in operands)
    if op == 'eq':
        return equals(kind, key, operands[0])
    if key is None:
        return False
    operand = operands[0]
    if op == 'lt':
        return kind.less(key, operand)
    if op == 'ge':
        return not kind.less(key, operand)
    if op == 'gt':
        return kind.less(operand, key)
    if op == 'le':
        return not kind.less(operand, key)
    if op == 'between':
        return not kind.less(key, operand) and not kind.less(operands[1], key)
    if op in ('contains', 'contained_by', 'overlaps'):
        return contained(op, kind, key, operand)
    return text_holds(op, kind.prefix_text(key) if op == 'starts_with' else kind.as_text(key), operand)


def equals(kind, key, operand):
    if key is None or operand is None:
        return key is None and operand is None
    return kind.equal(key, operand)


def contained(op, kind, key, operand):
    if op == 'contains':
        return kind.contains(key, operand)
    if op == 'contained_by':
        return kind.contains(operand, key)
    return kind.overlaps(key, operand)


def text_holds(op, text, operand):
    """LIKE and its kin; for match and imatch the operand is the pattern in Python's syntax."""
    if op == 'like':
        return like(text, operand)
    if op == 'ilike':
        return like(ascii_lower(text), ascii_lower(operand))
    if op == 'starts_with':
        return text[:len(operand)] == operand
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if op == 'imatch' else 0)
    return re.search(operand, text, flags) is not None


def ascii_lower(text):
    """lower() under the collation C."""
    return ''.join(chr(ord(char) + 32) if 'A' <= char <= 'Z' else char for char in text)


def like(text, pattern):
    """LIKE with the escape character \\: the set of pattern positions that are reached after each character."""
    items = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == '\\':
            position += 1
            items.append(('char', pattern[position]))
        elif char in '%_':
            items.append((char, None))
        else:
            items.append(('char', char))
        position += 1
    reached = closure(items, {0})
    for char in text:
        step = set()
        for place in reached:
            if place < len(items):
                what, expected = items[place]
                if what == '%':
                    step.add(place)
                elif what == '_' or expected == char:
                    step.add(place + 1)
        reached = closure(items, step)
    return len(items) in reached


def closure(items, places):
    """The places, and those after any % they stand before."""
    found = set(places)
    for place in places:
        while place < len(items) and items[place][0] == '%':
            place += 1
            found.add(place)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Leaves on JSON values: typed by the document
# ---------------------------------------------------------------------------------------------------------------------
def json_holds(op, value, operands):
    if op == 'is_null':
        return value is None
    if op in ('eq', 'in'):
        return any(json_equals(value, operand) for operand in operands)
    if value is None:
        return False
    if op == 'between':
        return json_ordered('ge', value, operands[0]) and json_ordered('le', value, operands[1])
    if op in ('lt', 'le', 'gt', 'ge'):
        return json_ordered(op, value, operands[0])
    if op in ('contains', 'contained_by', 'overlaps'):
        return json_contained(op, value, operands[0])
    return value[0] == 'str' and text_holds(op, value[1], operands[0].key)


def json_typed(value, operand):
    """The key of a JSON string that is read as the type of a typed literal; None when it is no string."""
    return kinds.read_date(value[1]) if value is not None and value[0] == 'str' else None


def json_equals(value, operand):
    if operand.lit.kind == 'null' or value is None:
        return operand.lit.kind == 'null' and value is None
    if operand.lit.kind == 'typed':
        return json_typed(value, operand) == operand.key
    return value == v.lit_json_key(operand.lit)


def json_ordered(op, value, operand):
    if operand.lit.kind == 'typed':
        left, right = json_typed(value, operand), operand.key
        if left is None:
            return False
    else:
        tag, right = v.lit_json_key(operand.lit)
        if value[0] != tag or tag not in ('num', 'str', 'bool'):
            return False
        left = value[1]
    return {'lt': left < right, 'le': left <= right, 'gt': left > right, 'ge': left >= right}[op]


def json_contained(op, value, operand):
    """On JSON arrays and objects only."""
    if value[0] not in ('array', 'object'):
        return False
    other = operand.key if operand.key is not None else v.lit_json_key(operand.lit)
    if op == 'contains':
        return kinds.json_contains(value, other)
    if op == 'contained_by':
        return kinds.json_contains(other, value)
    return value[0] == 'array' and any(item in value[1] for item in other[1])


# ---------------------------------------------------------------------------------------------------------------------
# Rows
# ---------------------------------------------------------------------------------------------------------------------
def null_row(columns):
    """The empty side of an outer join: a row whose fields are all NULL."""
    return {column.name: (column.kind, None) for column in columns}

