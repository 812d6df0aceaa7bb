"""
native.py: specifications as hand-written SQL, made in Python, without the extension.

It judges the oracle (test_oracle.py), and takes its place where Python does not know an order: text under linguistic collations.
"""
import kinds
import values as v
from tree import And, Bool, Clause, Not

OPERATORS = {'eq': '=', 'lt': '<', 'le': '<=', 'gt': '>', 'ge': '>=', 'like': '~~', 'ilike': '~~*', 'starts_with': '^@', 'match': '~', 'imatch': '~*',
             'contains': '@>', 'contained_by': '<@', 'overlaps': '&&'}


def condition(node, columns):
    """The two-valued condition; columns: name -> kind.  No paths into jsonb."""
    if isinstance(node, Bool):
        return 'true' if node.value else 'false'
    if isinstance(node, Clause):
        return '%s(%s)' % ('NOT ' if node.negated else '', leaf(node, columns))
    if isinstance(node, Not):
        return 'NOT (%s)' % condition(node.arg, columns)
    word = ' AND ' if isinstance(node, And) else ' OR '
    return word.join('(%s)' % condition(arg, columns) for arg in node.args)


def leaf(clause, columns):
    kind, field = columns[clause.path[0]], v.quote_ident(clause.path[0])
    for step in clause.path[1:]:
        kind, field = dict(kind.fields)[step], '(%s).%s' % (field, v.quote_ident(step))
    if clause.op == 'is_null':
        return is_null(field)
    if clause.op == 'in':
        return ' OR '.join(comparison('eq', field, kind, operand) for operand in clause.operands) or 'false'
    if clause.op == 'between':
        return ' AND '.join(comparison(op, field, kind, operand) for op, operand in zip(('ge', 'le'), clause.operands))
    return comparison(clause.op, field, kind, clause.operands[0])


def is_null(field):
    """IS NULL of a composite value asks for its fields; this asks for the value."""
    return '%s IS NOT DISTINCT FROM NULL' % field


def comparison(op, field, kind, operand):
    if operand.lit.kind == 'null':
        return is_null(field)
    value = operand.lit.native(literal_type(op, kind, operand.lit))
    if isinstance(kind, kinds.Float) and operand.lit.type == (None, 'numeric'):
        value += '::' + kind.type      # no operator of the family takes it, so the literal is what is converted
    return 'coalesce(%s %s %s, false)' % (field, OPERATORS[op], value)


def literal_type(op, kind, lit):
    """The type that a literal without one has here."""
    if op in kinds.TEXTUAL:
        return 'text'
    if isinstance(kind, kinds.Integer) and lit.kind == 'num':
        return 'numeric'
    return kind.type
