"""
values.py: the values that the generated tables hold, and the literals that specifications compare them with.

A generated value is a pair (text, key).  text is what PostgreSQL's input function reads; key is a Python value on
which the oracle works, chosen so that Python's own == and < are the mathematically right ones (integers, exact decimals,
microseconds, tuples).  NULL is the pair (None, None).

A literal (class Lit) is one value as it stands in a specification.  It can be written as text and as JSON.
"""
import json
import struct
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction

Val = namedtuple('Val', 'text key')
NULL = Val(None, None)


def quote_literal(text):
    """A string as an SQL literal; also as a string of the specification language."""
    return "'" + text.replace("'", "''") + "'"


def quote_ident(name):
    return '"' + name.replace('"', '""') + '"'


# ---------------------------------------------------------------------------------------------------------------------
# Literals
# ---------------------------------------------------------------------------------------------------------------------
class Lit(namedtuple('Lit', 'kind text type items')):
    """kind: num, str, true, false, null, typed, array.  type: (schema or None, name).  items: of Lit."""
    __slots__ = ()

    def spec_text(self):
        """As the specification language writes it."""
        if self.kind == 'num':
            return self.text
        if self.kind == 'str':
            return quote_literal(self.text)
        if self.kind == 'typed':
            return type_name(self.type) + ' ' + quote_literal(self.text)
        if self.kind == 'array':
            return 'array[' + ', '.join(item.spec_text() for item in self.items) + ']'
        return self.kind

    def json_text(self):
        """As the JSON form writes it: JSON text, since numbers must keep all their digits."""
        if self.kind == 'num':
            return json_number(self.text)
        if self.kind == 'str':
            return json.dumps(self.text)
        if self.kind == 'typed':
            return '{"type": %s, "value": %s}' % (json.dumps(type_name(self.type)), json.dumps(self.text))
        if self.kind == 'array':
            return '[' + ', '.join(item.json_text() for item in self.items) + ']'
        return self.kind

    def native(self, type_):
        """As plain SQL writes it where a value of type_ is meant: for comparison with hand-written conditions."""
        if type_ == 'jsonb' and self.kind in ('num', 'array', 'true', 'false'):
            return quote_literal(self.json_text()) + '::jsonb'
        if self.kind in ('num', 'str'):
            return '%s::%s' % (quote_literal(self.text), type_)
        if self.kind == 'typed':
            return '%s::%s' % (quote_literal(self.text), type_name(self.type))
        if self.kind == 'array':
            return 'array[%s]::%s' % (', '.join(item.sql_value() for item in self.items), type_)
        return self.kind

    def sql_value(self):
        """As an argument of a function that takes values of any type."""
        if self.kind == 'num':
            return '(%s)' % self.text
        if self.kind == 'str':
            return quote_literal(self.text) + '::text'
        if self.kind == 'typed':
            return '%s::%s' % (quote_literal(self.text), type_name(self.type))
        if self.kind == 'array':
            return 'array[%s]%s' % (', '.join(item.sql_value() for item in self.items), '' if self.items else '::text[]')
        return self.kind


def json_number(text):
    """A number as JSON allows it: the language also takes .5 and 5. and 007."""
    sign, digits = ('-', text[1:]) if text.startswith('-') else ('', text)
    digits = digits.lstrip('0') if digits.lstrip('0')[:1].isdigit() else '0' + digits.lstrip('0')
    return sign + digits.replace('.e', 'e').rstrip('.')


def type_name(type_):
    schema, name = type_
    if schema is None:
        return name if name.isidentifier() and name.islower() else quote_ident(name)
    return quote_ident(schema) + '.' + quote_ident(name)


def num(text):
    return Lit('num', text, None, None)


def string(text):
    return Lit('str', text, None, None)


def typed(name, text, schema=None):
    return Lit('typed', text, (schema, name), None)


def array(items):
    return Lit('array', None, None, tuple(items))


TRUE = Lit('true', None, None, None)
FALSE = Lit('false', None, None, None)
NULL_LIT = Lit('null', None, None, None)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers
# ---------------------------------------------------------------------------------------------------------------------
INFINITY = Decimal('Infinity')


class NotANumber:
    """The key of NaN: equal to itself and greater than every number, as PostgreSQL sorts it."""

    def __eq__(self, other):
        return isinstance(other, NotANumber)

    def __lt__(self, other):
        return False

    def __gt__(self, other):
        return not isinstance(other, NotANumber)

    def __le__(self, other):
        return isinstance(other, NotANumber)

    def __ge__(self, other):
        return True

    def __hash__(self):
        return 7

    def __repr__(self):
        return 'NaN'


NAN = NotANumber()


def decimal_key(text):
    """The exact value of a numeric's text."""
    lowered = text.strip().lower()
    if lowered == 'nan':
        return NAN
    return Decimal(lowered)


def float_key(text, size):
    """The exact value of the float4 (size 4) or float8 (size 8) nearest to a decimal text."""
    lowered = text.strip().lower()
    if lowered == 'nan':
        return NAN
    if lowered.lstrip('+-') in ('infinity', 'inf'):
        return -INFINITY if lowered.startswith('-') else INFINITY
    exact = Fraction(Decimal(lowered))
    nearest = float(exact)
    if size == 8:
        return exact_decimal(nearest)
    return exact_decimal(nearest_float4(exact, nearest))


def exact_decimal(number):
    return Decimal(number)


def nearest_float4(exact, nearest):
    """
    The float4 nearest to an exact number.  Rounding first to double and then to single could round twice, so the
    neighbours of the first guess compete; of two equally near the one with the even mantissa wins.
    """
    guess = struct.unpack('<i', struct.pack('<f', nearest))[0]
    best = None
    for bits in (guess - 1, guess, guess + 1):
        try:
            candidate = struct.unpack('<f', struct.pack('<i', bits))[0]
        except struct.error:
            continue
        if candidate != candidate or candidate in (float('inf'), float('-inf')):
            continue
        distance = abs(Fraction(candidate) - exact)
        if best is None or distance < best[0] or (distance == best[0] and bits % 2 == 0):
            best = (distance, candidate)
    return best[1]


# ---------------------------------------------------------------------------------------------------------------------
# Dates and times: keys are microseconds, so that cross-type comparisons need no conversion
# ---------------------------------------------------------------------------------------------------------------------
DAY = 86400 * 1000000
# the time zone of every session of these tests: a fixed offset, odd enough to be noticed (database.TIME_ZONE)
ZONE_MICROSECONDS = (5 * 60 + 45) * 60 * 1000000


def days_from_civil(year, month, day):
    """Days since 1970-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def date_text(year, month, day):
    return '%04d-%02d-%02d' % (year, month, day) if year > 0 else '%04d-%02d-%02d BC' % (1 - year, month, day)


def time_text(microseconds):
    seconds, micro = divmod(microseconds, 1000000)
    text = '%02d:%02d:%02d' % (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text + '.%06d' % micro if micro else text


def date_val(year, month, day):
    return Val(date_text(year, month, day), days_from_civil(year, month, day) * DAY)


def timestamp_val(year, month, day, microseconds):
    text = '%04d-%02d-%02d %s' % (year if year > 0 else 1 - year, month, day, time_text(microseconds))
    return Val(text if year > 0 else text + ' BC', days_from_civil(year, month, day) * DAY + microseconds)


def timestamptz_val(year, month, day, microseconds, offset_minutes):
    local = timestamp_val(year, month, day, microseconds)
    sign = '-' if offset_minutes < 0 else '+'
    zone = '%s%02d:%02d' % (sign, abs(offset_minutes) // 60, abs(offset_minutes) % 60)
    text = local.text[:-3] + zone + ' BC' if local.text.endswith(' BC') else local.text + zone
    return Val(text, local.key - offset_minutes * 60 * 1000000)


def interval_val(months, days, microseconds):
    # every part has its sign: with IntervalStyle sql_standard the first sign would be that of all
    return Val('%+d mons %+d days %+d microseconds' % (months, days, microseconds), (months * 30 + days) * DAY + microseconds)


# ---------------------------------------------------------------------------------------------------------------------
# Containers
# ---------------------------------------------------------------------------------------------------------------------
def array_text(element_texts):
    """The text of a one-dimensional array; an element None is NULL."""
    return '{' + ','.join('NULL' if text is None else quote_element(text) for text in element_texts) + '}'


def quote_element(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


def record_text(field_texts):
    """The text of a composite value; a field None is NULL."""
    return '(' + ','.join('' if text is None else quote_element(text) for text in field_texts) + ')'


def range_val(low, high):
    """An int4range [low, high); None is unbounded."""
    text = '[%s,%s)' % ('' if low is None else low, '' if high is None else high)
    if low is not None and high is not None and low >= high:
        return Val('empty', 'empty')
    return Val(text if low is not None else '(' + text[1:], (low, high))


# ---------------------------------------------------------------------------------------------------------------------
# JSON: a value is tagged, since Python holds True == 1
# ---------------------------------------------------------------------------------------------------------------------
def json_key(value):
    """From Python's form (numbers as int or Decimal) to the tagged form, on which == is jsonb equality."""
    if value is None:
        return ('null',)
    if isinstance(value, bool):
        return ('bool', value)
    if isinstance(value, (int, Decimal)):
        return ('num', Decimal(value))
    if isinstance(value, str):
        return ('str', value)
    if isinstance(value, list):
        return ('array', tuple(json_key(item) for item in value))
    return ('object', tuple(sorted((name, json_key(item)) for name, item in value.items())))


def json_text(value):
    """JSON text of Python's form; Decimals keep their digits."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return '[' + ', '.join(json_text(item) for item in value) + ']'
    if isinstance(value, dict):
        return '{' + ', '.join(json.dumps(name) + ': ' + json_text(item) for name, item in value.items()) + '}'
    return json.dumps(value)


def lit_json_key(lit):
    """The tagged form of an untyped literal: what it means when it is compared with a JSON value."""
    if lit.kind == 'num':
        return ('num', Decimal(lit.text))
    if lit.kind == 'str':
        return ('str', lit.text)
    if lit.kind == 'array':
        return ('array', tuple(lit_json_key(item) for item in lit.items))
    if lit.kind == 'null':
        return ('null',)
    return ('bool', lit.kind == 'true')
