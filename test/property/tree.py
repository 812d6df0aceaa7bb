"""
tree.py: specifications as Python trees, and the ways to write one: text, JSON, builder calls.

Every clause carries a style, a small number that picks among the spellings the language allows (operator symbols and synonyms, case of
keywords, `is true` for `= true`, quoted or bare names), so that the generated texts cover the grammar and not one dialect of it.
"""
import json
import re
from collections import namedtuple

import values as v

Bool = namedtuple('Bool', 'value')
And = namedtuple('And', 'args style')
Or = namedtuple('Or', 'args style')
Not = namedtuple('Not', 'arg style')
Clause = namedtuple('Clause', 'path op negated operands style')   # operands: of Operand
Operand = namedtuple('Operand', 'lit key')

SYMBOLS = {'eq': ['=', '='], 'lt': ['<'], 'le': ['<='], 'gt': ['>'], 'ge': ['>='], 'like': ['like'], 'ilike': ['ilike'],
           'starts_with': ['starts_with', '^@'], 'match': ['~'], 'imatch': ['~*'],
           'contains': ['contains', '@>'], 'contained_by': ['contained_by', '<@'], 'overlaps': ['overlaps', '&&']}
NEGATED_SYMBOLS = {'eq': ['<>', '!='], 'like': ['not like'], 'ilike': ['not ilike'], 'match': ['!~'], 'imatch': ['!~*']}
NAMES = {'eq': ['eq', '=', 'EQ'], 'lt': ['lt', '<'], 'le': ['le', 'lte', '<='], 'gt': ['gt', '>'], 'ge': ['ge', 'gte', '>='],
         'in': ['in'], 'between': ['between'], 'is_null': ['is_null'], 'like': ['like'], 'ilike': ['ilike'],
         'starts_with': ['starts_with', 'sw'], 'match': ['match'], 'imatch': ['imatch'], 'contains': ['contains', 'cs', '@>'],
         'contained_by': ['contained_by', 'cd', '<@'], 'overlaps': ['overlaps', 'ov', '&&']}
NEGATED_NAMES = {'eq': ['ne', 'neq', '<>', '!='], 'in': ['not_in', 'nin'], 'between': ['not_between'], 'is_null': ['is_not_null'],
                 'like': ['not_like'], 'ilike': ['not_ilike']}
# operators whose negation can be written without not
NEGATABLE = frozenset(NEGATED_SYMBOLS) | frozenset(NEGATED_NAMES)

# words that the tests never write bare, whether or not the grammar would allow them
WORDS = frozenset('''and or not in is null true false like ilike between array contains contained_by overlaps starts_with
                  select from where user order group table date time'''.split())
PLAIN_NAME = re.compile(r'[a-z_][a-z0-9_]*\Z')


def path_text(path, style=0, fold=True):
    """A field as text; fold: names that are not quoted are folded to lower case when they are read."""
    parts = []
    for step in path:
        if isinstance(step, int):
            parts.append('[%d]' % step)
            continue
        bare = PLAIN_NAME.match(step) and step not in WORDS
        if bare and style % 3 == 2 and fold:
            written = step.upper()
        elif bare and style % 3 != 1:
            written = step
        else:
            written = v.quote_ident(step)
        parts.append(('.' if parts else '') + written)
    return ''.join(parts)


def cased(word, style):
    return word.upper() if style % 2 else word


# ---------------------------------------------------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------------------------------------------------
def spec_text(node):
    """The node in the specification language, with no more parentheses than its style asks for."""
    if isinstance(node, Bool):
        return 'true' if node.value else 'false'
    if isinstance(node, Clause):
        return clause_text(node)
    if isinstance(node, Not):
        inner = spec_text(node.arg)
        if isinstance(node.arg, (And, Or)) or node.style % 2:
            inner = '(' + inner + ')'
        return cased('not', node.style // 2) + ' ' + inner
    word, looser = ('and', Or) if isinstance(node, And) else ('or', ())
    parts = []
    for arg in node.args:
        text = spec_text(arg)
        if isinstance(arg, looser) or (node.style % 3 == 1 and not isinstance(arg, Clause)) or node.style % 5 == 4:
            text = '(' + text + ')'
        parts.append(text)
    return (' ' + cased(word, node.style) + ('\n' if node.style % 4 == 3 else ' ')).join(parts)


def clause_text(clause):
    field = path_text(clause.path, clause.style)
    lits = [operand.lit for operand in clause.operands]
    style = clause.style
    not_ = cased('not', style) + ' ' if clause.negated else ''
    if clause.op == 'is_null':
        if style % 4 == 3:
            return '%s %s null' % (field, '<>' if clause.negated else '=')
        return '%s %s %s%s' % (field, cased('is', style), not_, cased('null', style))
    if clause.op == 'in':
        return '%s %s%s (%s)' % (field, not_, cased('in', style), ', '.join(lit.spec_text() for lit in lits))
    if clause.op == 'between':
        return '%s %s%s %s %s %s' % (field, not_, cased('between', style), lits[0].spec_text(), cased('and', style), lits[1].spec_text())
    if clause.op == 'eq' and lits[0] in (v.TRUE, v.FALSE) and style % 2:
        return '%s is %s%s' % (field, not_, lits[0].kind)
    symbols = (NEGATED_SYMBOLS if clause.negated else SYMBOLS)[clause.op]
    symbol = symbols[style % len(symbols)]
    gap = ' ' if symbol[-1].isalpha() or style % 4 < 3 or lits[0].spec_text()[0] in '-$' else ''
    return field + (gap if symbol[0] not in 'abcdefghijklmnopqrstuvwxyz' else ' ') + cased(symbol, style) + gap + lits[0].spec_text()


# ---------------------------------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------------------------------
def spec_json(node):
    """The node in the JSON form."""
    if isinstance(node, Bool):
        return 'true' if node.value else 'false'
    if isinstance(node, Not):
        return '{"not": %s}' % spec_json(node.arg)
    if isinstance(node, (And, Or)):
        return '{"%s": [%s]}' % ('and' if isinstance(node, And) else 'or', ', '.join(spec_json(arg) for arg in node.args))
    if node.negated and node.op not in NEGATED_NAMES:
        return '{"not": %s}' % spec_json(node._replace(negated=False))
    names = (NEGATED_NAMES if node.negated else NAMES)[node.op]
    members = ['"field": ' + json.dumps(path_text(node.path, node.style, fold=False)), '"op": ' + json.dumps(names[node.style % len(names)])]
    lits = [operand.lit for operand in node.operands]
    if node.op in ('in', 'between'):
        members.append('"value": [%s]' % ', '.join(lit.json_text() for lit in lits))
    elif node.op != 'is_null':
        members.append('"value": ' + lits[0].json_text())
    if node.style % 2:
        members.reverse()
    return '{' + ', '.join(members) + '}'


def spec_text_as_json(node):
    """The JSON form as text input for the type: always an object, since only '{' announces JSON there."""
    text = spec_json(node)
    return text if text.startswith('{') else '{"and": [%s]}' % text


# ---------------------------------------------------------------------------------------------------------------------
# Builder calls
# ---------------------------------------------------------------------------------------------------------------------
def spec_builder(node):
    """An SQL expression that builds the node with where() and the operators; typed literals are values of their types."""
    if isinstance(node, Bool):
        return "'%s'::apibase.spec" % ('true' if node.value else 'false')
    if isinstance(node, Not):
        return ('(OPERATOR(apibase.!!) %s)' if node.style % 2 else 'apibase.spec_not(%s)') % spec_builder(node.arg)
    if isinstance(node, (And, Or)):
        symbol, function = ('&&', 'and') if isinstance(node, And) else ('||', 'or')
        built = [spec_builder(arg) for arg in node.args]
        if node.style % 3 == 0:
            return 'apibase.spec_%s(%s)' % ('all' if function == 'and' else 'any', ', '.join(built))
        while len(built) > 1:
            pair = (built[0], built[1])
            built[:2] = [('(%s OPERATOR(apibase.%s) %s)' % (pair[0], symbol, pair[1])) if node.style % 3 == 1 else
                         ('apibase.spec_%s(%s, %s)' % ((function,) + pair))]
        return built[0]
    if node.negated and node.op not in NEGATED_NAMES:
        return 'apibase.spec_not(%s)' % spec_builder(node._replace(negated=False))
    return 'apibase.where(%s)' % ', '.join(builder_arguments(node))


def builder_arguments(clause):
    """The arguments of where() for a clause whose operator has a name."""
    names = (NEGATED_NAMES if clause.negated else NAMES)[clause.op]
    arguments = [v.quote_literal(path_text(clause.path, clause.style, fold=False)), v.quote_literal(names[clause.style % len(names)])]
    return arguments + [operand.lit.sql_value() for operand in clause.operands]


def buildable(op, lits):
    """
    Whether values of SQL say what the literals say.  A number that is bound is a number literal, so it loses its type; an array has one type of
    elements; and one array given to in is the list.
    """
    for lit in lits:
        if lit.type in ((None, 'float4'), (None, 'float8')) or (lit.kind == 'array' and (
                (op == 'in' and len(lits) == 1) or len({item.kind in ('true', 'false') or item.kind for item in lit.items if item.kind != 'null'}) > 1)):
            return False
    return True


def parameterized(node, arguments):
    """The node with $n for every literal but null; the literals are appended to arguments."""
    if isinstance(node, Clause):
        operands = []
        for operand in node.operands:
            if operand.lit != v.NULL_LIT:
                arguments.append(operand.lit)
                operand = operand._replace(lit=v.num('$%d' % len(arguments)))
            operands.append(operand)
        return node._replace(operands=tuple(operands))
    if isinstance(node, Not):
        return node._replace(arg=parameterized(node.arg, arguments))
    if isinstance(node, (And, Or)):
        return node._replace(args=tuple(parameterized(arg, arguments) for arg in node.args))
    return node


# ---------------------------------------------------------------------------------------------------------------------
# Walking
# ---------------------------------------------------------------------------------------------------------------------
def clauses(node):
    """Every clause, with whether an odd number of Not stands above it."""
    stack = [(node, False)]
    while stack:
        node, negated = stack.pop()
        if isinstance(node, Clause):
            yield node, negated
        elif isinstance(node, Not):
            stack.append((node.arg, not negated))
        elif isinstance(node, (And, Or)):
            stack.extend((arg, negated) for arg in reversed(node.args))


def below(name, node):
    """The same specification of what stands in the column name."""
    if isinstance(node, Clause):
        return node._replace(path=(name,) + node.path)
    if isinstance(node, Not):
        return node._replace(arg=below(name, node.arg))
    if isinstance(node, (And, Or)):
        return node._replace(args=tuple(below(name, arg) for arg in node.args))
    return node
