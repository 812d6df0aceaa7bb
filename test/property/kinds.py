"""
kinds.py: the kinds of columns that are generated: how a value of each is made, written and compared.

A kind knows its SQL type, a Hypothesis strategy for its values, how a literal for a value may be spelled, literals that no value of
the type can equal (10.5 on an integer), and the semantics of comparison in Python.  The instances are in KINDS.
"""
import copy
import uuid

from decimal import Decimal
from hypothesis import strategies as st

import values as v
from values import Val

EQUALITY = ('eq', 'in')
ORDER = ('lt', 'le', 'gt', 'ge', 'between')
TEXTUAL = ('like', 'ilike', 'starts_with', 'match', 'imatch')
CONTAINER = ('contains', 'contained_by', 'overlaps')

CHOICES = [st.integers(0, n) for n in range(16)]


def choice(draw, n):
    """A number from 0 to n - 1; shrinks towards 0."""
    return draw(CHOICES[n - 1])


class Kind:
    """A kind of column.  ddl is the type as a column definition has it, type as a cast has it."""

    ops = EQUALITY + ORDER
    fields = ()          # of a composite kind: (name, kind)
    number = False       # whether number literals fit
    json_like = False    # whether to_jsonb of a value compares with an untyped literal as the value does
    default = None       # a value as SQL text for ADD COLUMN ... DEFAULT

    def __init__(self, name, type_, ddl=None):
        self.name, self.type, self.ddl = name, type_, ddl or type_
        self.values = self.raw().map(self.val)

    def __repr__(self):
        return 'Kind(%s)' % self.name

    def raw(self):
        """Strategy of what a value is made of."""
        raise NotImplementedError

    def val(self, raw):
        """The value.  (A method and not a lambda: Hypothesis looks up the source of each lambda at every draw.)"""
        return Val(raw, raw)

    def literal(self, draw, val):
        """(literal, key) that means val."""
        spellings = self.spellings(val)
        return spellings[choice(draw, len(spellings))], val.key

    def spellings(self, val):
        return [v.string(val.text), v.typed(self.type, val.text)]

    def stray(self, draw):
        """(literal, key) for a value that the type may not hold, or None."""
        return None

    def depends_on_settings(self):
        """Whether settings of the session decide what some literals mean; an index predicate refuses those."""
        return bool(self.fields)

    def equal(self, left, right):
        return left == right

    def less(self, left, right):
        return left < right

    def as_text(self, key):
        """The text that LIKE and regular expressions see."""
        return key

    def prefix_text(self, key):
        """The text that starts_with sees."""
        return key


# ---------------------------------------------------------------------------------------------------------------------
# Numbers
# ---------------------------------------------------------------------------------------------------------------------
HUGE_NUMBERS = ('99999999999999', '-99999999999999', '99999999999999999999', '-1e30', '1e300', '0.5', '-0.5', '1e-30',
                '9223372036854775807.5', '-9223372036854775808.5', '2147483648', '-2147483649', '32768', '-32769')


class Integer(Kind):
    number = True
    json_like = True

    def __init__(self, name, type_, bits, ddl=None, low=None, high=None):
        self.low = -2 ** (bits - 1) if low is None else low
        self.high = 2 ** (bits - 1) - 1 if high is None else high
        super().__init__(name, type_, ddl)

    def raw(self):
        edges = st.sampled_from([0, 1, -1, 2, 10, self.low, self.low + 1, self.high - 1, self.high])
        return st.one_of(edges, st.integers(-3, 3), st.integers(self.low, self.high))

    def val(self, number):
        return Val(str(number), number)

    def spellings(self, val):
        number = val.key
        made = [v.num(str(number)), v.string(str(number)), v.num('%d.0' % number), v.typed('int8', str(number)),
                v.string(' %d ' % number), v.num('%d.' % number), v.num(str(number).replace('-', '-00') if number < 0 else '00%d' % number)]
        if number % 10 == 0 and number:
            made.append(v.num('%de1' % (number // 10)))
        if -2 ** 31 <= number < 2 ** 31:
            made.append(v.typed('int4', str(number)))
        if -2 ** 15 <= number < 2 ** 15:
            made.append(v.typed('int2', str(number)))
        return made

    def stray(self, draw):
        which = choice(draw, 3)
        if which == 0:
            text = ('%d.%d' % (draw(st.integers(-3, 3)), draw(st.integers(1, 99)))).replace('-0.', '-.')
        elif which == 1:
            text = draw(st.sampled_from(HUGE_NUMBERS))
        else:
            number = draw(st.integers(-2 ** 63, 2 ** 63 - 1))
            return v.typed('int8', str(number)), number
        return v.num(text), v.decimal_key(text)


class Float(Kind):
    number = True

    def __init__(self, name, type_, size):
        self.size = size
        super().__init__(name, type_)

    def raw(self):
        edges = ['0', '-0', '0.1', '1.5', '-2.25', 'NaN', 'Infinity', '-Infinity', '1e10', '16777217', '0.30000000000000004']
        edges += ['3.4028234663852886e+38', '1.401298464324817e-45'] if self.size == 4 else ['1.7976931348623157e+308', '5e-324']
        numbers = st.floats(width=self.size * 8, allow_nan=False, allow_infinity=False).map(repr)
        return st.one_of(st.sampled_from(edges), st.integers(-3, 3).map(str), numbers)

    def val(self, text):
        return Val(text, v.float_key(text, self.size))

    def spellings(self, val):
        made = [v.string(val.text), v.typed('float4' if self.size == 4 else 'float8', val.text)]
        if val.text.lower().lstrip('-') not in ('nan', 'infinity'):
            made.insert(0, v.num(val.text))
            made.append(v.typed('numeric', val.text))
        return made

    def stray(self, draw):
        text = draw(st.sampled_from(['0.1', '0.3', '1e-7', '123456789.123456789', '16777217', '-33554435', '9007199254740993']))
        which = choice(draw, 3)
        if which == 0:
            return v.num(text), v.float_key(text, self.size)
        if which == 1:
            return v.typed('float8', text), v.float_key(text, 8)
        return v.typed('float4', text), v.float_key(text, 4)


class Numeric(Kind):
    number = True

    def __init__(self, name, type_, ddl, scale, limit):
        self.scale, self.limit = scale, limit
        super().__init__(name, type_, ddl)

    def raw(self):
        edges = ['0', '0.1', '1', '1.00', '-0.10', 'NaN', '999999.99', '-999999.99']
        if self.limit is None:
            edges += ['Infinity', '-Infinity', '1e100', '-1e-100', '123456789012345678901234567890.123456789']
        limit = self.limit or 10 ** 12
        return st.one_of(st.sampled_from(edges), st.integers(-3, 3).map(str), st.integers(-limit, limit).map(self.scaled))

    def scaled(self, number):
        return str(Decimal(number).scaleb(-self.scale))

    def val(self, text):
        return Val(text, v.decimal_key(text))

    def spellings(self, val):
        made = [v.string(val.text), v.typed('numeric', val.text)]
        if isinstance(val.key, Decimal) and val.key.is_finite():
            made.insert(0, v.num(val.text))
            if val.key == val.key.to_integral_value() and abs(val.key) < 2 ** 31:
                made += [v.typed('int4', str(int(val.key))), v.typed('int8', str(int(val.key)))]
        return made

    def stray(self, draw):
        text = draw(st.sampled_from(['0.123456789', '1e20', '-1e20', '0.999999', '10.555', '1234567.891', '1e-200']))
        return v.num(text), v.decimal_key(text)


# ---------------------------------------------------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------------------------------------------------
ALPHABET = 'aAbB%_\\\'" .1é😀'
TEXT_EDGES = ['', 'a', 'A', 'ab', 'NULL', 'null', 'true', "it's", '%', '_', '\\', '\\%', 'a%b', '$1', '{}', 'ß', 'É', '\U0010ffff',
              '\ue000', 'İ', '\u212a', '\n', 'a\nb', '\t', ' a', '--', '/*', ';', "''", '"', '1', 'x' * 300]
texts = st.one_of(st.sampled_from(TEXT_EDGES), st.text('ab', max_size=3), st.text(ALPHABET, max_size=5),
                  st.text(st.characters(blacklist_categories=('Cs',), blacklist_characters='\0'), max_size=4))


class Text(Kind):
    ops = EQUALITY + ORDER + TEXTUAL
    json_like = True
    oracle_order = True

    def __init__(self, name, type_, ddl, limit=None):
        self.limit = limit
        super().__init__(name, type_, ddl)

    def raw(self):
        return texts

    def val(self, text):
        return Val(text[:self.limit], text[:self.limit])

    def spellings(self, val):
        return [v.string(val.text), v.typed('text', val.text), v.typed('varchar', val.text)]

    def stray(self, draw):
        text = draw(texts) + 'longer than any varchar'
        return v.string(text), text


class Collated(Text):
    """Text under a collation whose order Python does not know: compared with hand-written SQL instead of the oracle."""
    oracle_order = False

    def spellings(self, val):
        # a typed text is read as char(n) where the field is that; SQL reads the field as text, without its blanks
        return super().spellings(val)[:1 if self.limit else None]


class Folded(Kind):
    """Text under a collation that ignores case, over letters where Python agrees what that means."""
    ops = EQUALITY

    def raw(self):
        return st.text('abAB1', max_size=3)

    def val(self, text):
        return Val(text, text.lower())

    def spellings(self, val):
        return [v.string(val.text), v.string(val.text.upper()), v.typed('text', val.text)]


class Char(Text):
    """char(n): padded with blanks, which comparisons ignore and LIKE sees."""
    json_like = False

    def val(self, text):
        return Val(text[:self.limit], text[:self.limit].rstrip(' '))

    def spellings(self, val):
        return [v.string(val.text), v.string(val.text + '  '), v.typed('bpchar', val.text)]

    def stray(self, draw):
        text = draw(texts) + 'longer'
        return v.string(text), text

    def as_text(self, key):
        return key + ' ' * (self.limit - len(key))


class Enum(Kind):
    def __init__(self, name, schema, labels):
        self.schema, self.labels = schema, labels
        super().__init__(name, '%s.%s' % (schema, name))

    def raw(self):
        return st.sampled_from(self.labels)

    def val(self, label):
        return Val(label, self.labels.index(label))

    def spellings(self, val):
        return [v.string(val.text), v.typed(self.name, val.text, self.schema)]


# ---------------------------------------------------------------------------------------------------------------------
# Dates and times
# ---------------------------------------------------------------------------------------------------------------------
years = st.one_of(st.sampled_from([2026, 2024, 2000, 1999, 1970, 1, 0, -43, 9999, 12000]), st.integers(1900, 2100))
months, days = st.integers(1, 12), st.integers(1, 28)
clock = st.one_of(st.sampled_from([0, 1, v.DAY - 1, v.DAY // 2, v.ZONE_MICROSECONDS]), st.integers(0, v.DAY - 1))
LAST_DATE = Val('5874897-12-31', v.days_from_civil(5874897, 12, 31) * v.DAY)
FOREVER, NEVER = Val('infinity', float('inf')), Val('-infinity', float('-inf'))
days_of_note = st.sampled_from([(2026, 1, 31), (2026, 2, 1), (2024, 2, 29), (2000, 1, 1), (1969, 12, 31)])
calendar = st.one_of(days_of_note, st.tuples(years, months, days))


class Moment(Kind):
    """date, timestamp and timestamptz compare with each other; keys are microseconds, of timestamptz those of UTC."""

    def depends_on_settings(self):
        return True

    def spellings(self, val):
        return [v.string(val.text), v.typed(self.name, val.text)]

    def stray(self, draw):
        other = (MOMENTS['date'], MOMENTS['timestamp'], MOMENTS['timestamptz'])[choice(draw, 3)]
        val = draw(other.values)
        if val is LAST_DATE:
            return None
        shift = (self.name == 'timestamptz') - (other.name == 'timestamptz')
        return v.typed(other.name, val.text), val.key - shift * v.ZONE_MICROSECONDS


class Date(Moment):
    def raw(self):
        return st.one_of(calendar, calendar, st.sampled_from([FOREVER, NEVER, v.date_val(-4712, 1, 1), LAST_DATE]))

    def val(self, raw):
        return raw if isinstance(raw, Val) else v.date_val(*raw)


class Timestamp(Moment):
    def raw(self):
        edges = st.sampled_from([FOREVER, NEVER, v.timestamp_val(-4712, 1, 1, 0), v.timestamp_val(294276, 12, 31, v.DAY - 1)])
        plain = st.tuples(calendar, clock)
        return st.one_of(plain, plain, edges)

    def val(self, raw):
        return raw if isinstance(raw, Val) else v.timestamp_val(*raw[0], raw[1])


class Timestamptz(Moment):
    def raw(self):
        edges = st.sampled_from([FOREVER, NEVER, v.timestamptz_val(-4712, 1, 1, 0, 0), v.timestamptz_val(294276, 12, 30, 0, 0)])
        zones = st.sampled_from([0, 345, -210, 60, 840, -720])
        plain = st.tuples(calendar, clock, zones)
        return st.one_of(plain, plain, edges)

    def val(self, raw):
        return raw if isinstance(raw, Val) else v.timestamptz_val(*raw[0], *raw[1:])

    def spellings(self, val):
        made = super().spellings(val)
        here = '+%02d:%02d' % divmod(v.ZONE_MICROSECONDS // 60000000, 60)
        if val.text.endswith(here):
            made.append(v.string(val.text[:-len(here)]))       # the zone of the session
        return made


class Time(Kind):
    def raw(self):
        return st.one_of(clock, st.just(v.DAY))

    def val(self, microseconds):
        return Val(v.time_text(microseconds), microseconds)


class Interval(Kind):
    def depends_on_settings(self):
        return True

    def raw(self):
        edges = st.sampled_from([(0, 0, 0), (1, 0, 0), (0, 30, 0), (0, 0, 30 * v.DAY), (-1, 30, 0), (12, -5, -1), (12 * 170000000, 0, 0)])
        return st.one_of(edges, st.tuples(st.integers(-30, 30), st.integers(-100, 100), st.integers(-10 ** 13, 10 ** 13)))

    def val(self, parts):
        return v.interval_val(*parts)


# ---------------------------------------------------------------------------------------------------------------------
# The rest
# ---------------------------------------------------------------------------------------------------------------------
class Boolean(Kind):
    json_like = True

    def raw(self):
        return st.booleans()

    def val(self, truth):
        return Val('true' if truth else 'false', truth)

    def spellings(self, val):
        if val.key:
            return [v.TRUE, v.string('t'), v.string('yes'), v.string('ON'), v.string('1'), v.typed('bool', 'true')]
        return [v.FALSE, v.string('f'), v.string('no'), v.string('off'), v.string('0'), v.typed('bool', 'false')]


class Uuid(Kind):
    def raw(self):
        edges = st.sampled_from([0, 1, 2 ** 128 - 1, 2 ** 127])
        return st.one_of(edges, st.integers(0, 2 ** 128 - 1))

    def val(self, number):
        return Val(str(uuid.UUID(int=number)), number)

    def spellings(self, val):
        return [v.string(val.text), v.string(val.text.upper()), v.string('{' + val.text + '}'), v.typed('uuid', val.text)]


class Bytes(Kind):
    def raw(self):
        edges = st.sampled_from([b'', b'\0', b'\\', b"'", b'\xff', b'ab'])
        return st.one_of(edges, st.binary(max_size=3))

    def val(self, data):
        return Val('\\x' + data.hex(), data)


class Array(Kind):
    """A one-dimensional array; NULL elements are equal to each other and greater than all else, and contained in nothing."""
    ops = EQUALITY + ORDER + CONTAINER

    def __init__(self, name, element, ddl):
        self.element = element
        super().__init__(name, element.type + '[]', ddl)

    def raw(self):
        small = st.integers(0, 2) if isinstance(self.element, Integer) else st.sampled_from(['a', 'b', '', 'NULL', '{', '"', ','])
        return st.lists(st.one_of(st.none(), small, small, self.element.raw()), max_size=4)

    def val(self, keys):
        return Val(v.array_text([None if key is None else str(key) for key in keys]), tuple(keys))

    def spellings(self, val):
        number = isinstance(self.element, Integer)
        items = [v.NULL_LIT if key is None else v.num(str(key)) if number else v.string(key) for key in val.key]
        return [v.string(val.text), v.array(items)]

    @staticmethod
    def rank(keys):
        return [(key is None, 0 if key is None else key) for key in keys]

    def less(self, left, right):
        return self.rank(left) < self.rank(right)

    def contains(self, left, right):
        return all(key is not None and key in left for key in right)

    def overlaps(self, left, right):
        return any(key is not None and key in left for key in right)


class Range(Kind):
    """int4range; keys are 'empty' or (low, high), high exclusive, None unbounded."""
    ops = EQUALITY + ORDER + CONTAINER

    def raw(self):
        bound = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from([-2 ** 31, 2 ** 31 - 1]))
        return st.tuples(bound, bound).filter(self.ordered)

    def val(self, bounds):
        return v.range_val(*bounds)

    @staticmethod
    def ordered(bounds):
        return bounds[0] is None or bounds[1] is None or bounds[0] <= bounds[1]

    def rank(self, key):
        if key == 'empty':
            return (0,)
        return (1, float('-inf') if key[0] is None else key[0], float('inf') if key[1] is None else key[1])

    def less(self, left, right):
        return self.rank(left) < self.rank(right)

    def contains(self, left, right):
        if right == 'empty':
            return True
        if left == 'empty':
            return False
        _, low, high = self.rank(left)
        _, other_low, other_high = self.rank(right)
        return low <= other_low and other_high <= high

    def overlaps(self, left, right):
        if 'empty' in (left, right):
            return False
        _, low, high = self.rank(left)
        _, other_low, other_high = self.rank(right)
        return low < other_high and other_low < high


JSON_NAMES = ['a', 'b', 'tags', 'when', '0', 'a.b', 'Odd "name"', "it's", 'Ü']
JSON_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from([Decimal('1.0'), Decimal('0.5'), Decimal('-1.25'), Decimal('1e20'), 2 ** 70]),
    st.sampled_from(['', 'a', 'b', 'ab', 'red', '1', 'true', 'null', '2026-01-31', 'A%', '\\', '"', 'é', '😀']))


def has_iso_date(ymd):
    return 1 <= ymd[0] <= 9999


def iso_date(ymd):
    return v.date_text(*ymd)


ISO_DATES = calendar.filter(has_iso_date).map(iso_date)
JSON_DATES = st.one_of(ISO_DATES, st.none(), st.integers(0, 1))


def read_date(text):
    """The key of an ISO date."""
    year, month, day = text.split('-')
    return v.days_from_civil(int(year), int(month), int(day)) * v.DAY


def make_json():
    inner = st.recursive(JSON_SCALARS, lambda deeper: st.one_of(
        st.lists(deeper, max_size=3), st.dictionaries(st.sampled_from(JSON_NAMES[:3] + JSON_NAMES[4:]), deeper, max_size=3)), max_leaves=4)
    documents = st.fixed_dictionaries({}, optional={'tags': st.lists(JSON_SCALARS, max_size=3), 'a': inner, 'b': JSON_SCALARS, 'when': JSON_DATES,
                                                    'Odd "name"': inner, '0': JSON_SCALARS})
    return inner, documents


JSON_ANY, JSON_DOCUMENTS = make_json()


class Jsonb(Kind):
    """jsonb; keys are the tagged form of values.json_key."""
    ops = EQUALITY + ('contains', 'contained_by')

    def raw(self):
        return st.one_of(JSON_DOCUMENTS, JSON_DOCUMENTS, JSON_ANY)

    def val(self, value):
        return Val(v.json_text(value), v.json_key(value))

    def spellings(self, val):
        made = [v.string(val.text), v.typed('jsonb', val.text)]
        if val.key[0] in ('num', 'bool'):
            made.append(json_scalar(val.key))
        if val.key[0] == 'array' and all(item[0] not in ('array', 'object') for item in val.key[1]):
            made.append(v.array([json_scalar(item) for item in val.key[1]]))
        return made

    def contains(self, left, right):
        return json_contains(left, right)


def json_scalar(key):
    """The untyped literal for a JSON scalar."""
    if key[0] == 'num':
        return v.num(str(key[1]))
    if key[0] == 'str':
        return v.string(key[1])
    if key[0] == 'null':
        return v.NULL_LIT
    return v.TRUE if key[1] else v.FALSE


def json_contains(left, right):
    """jsonb @>."""
    if left[0] == 'array' and right[0] not in ('array', 'object'):
        return right in left[1]
    return json_contains_same(left, right)


def json_contains_same(left, right):
    if left[0] != right[0]:
        return False
    if left[0] == 'object':
        mine = dict(left[1])
        return all(name in mine and json_contains_same(mine[name], value) for name, value in right[1])
    if left[0] == 'array':
        return all(any(json_contains_same(mine, value) for mine in left[1]) for value in right[1])
    return left == right


class Composite(Kind):
    ops = EQUALITY

    def __init__(self, name, schema, fields):
        self.schema, self.fields = schema, fields
        super().__init__(name, '%s.%s' % (schema, name))

    def raw(self):
        return st.tuples(*[st.one_of(st.just(v.NULL), kind.values, kind.values) for _, kind in self.fields])

    def val(self, vals):
        return Val(v.record_text([val.text for val in vals]), tuple(val.key for val in vals))

    def spellings(self, val):
        return [v.string(val.text), v.typed(self.name, val.text, self.schema)]


MOMENTS = {'date': Date('date', 'date'), 'timestamp': Timestamp('timestamp', 'timestamp'), 'timestamptz': Timestamptz('timestamptz', 'timestamptz')}
MOOD_LABELS = ['sad', 'ok', 'happy', '', "it's", 'Ä', 'a b']

INT4 = Integer('int', 'int4', 32)
TEXT_C = Text('text_c', 'text', 'text COLLATE "C"')
JSONB = Jsonb('jsonb', 'jsonb')
NUMERIC = Numeric('numeric', 'numeric', 'numeric', 4, None)
PAIR = Composite('pair', 'prop', [('x', INT4), ('y', TEXT_C), ('Odd "z', NUMERIC)])
NEST = Composite('nest', 'prop', [('p', PAIR), ('j', JSONB), ('select', TEXT_C), ('d', MOMENTS['date'])])

KINDS = [
    INT4,
    TEXT_C,
    Integer('smallint', 'int2', 16),
    Integer('bigint', 'int8', 64),
    NUMERIC,
    Numeric('numeric_8_2', 'numeric', 'numeric(8,2)', 2, 10 ** 8 - 1),
    Float('real', 'float4', 4),
    Float('double', 'float8', 8),
    Text('text', 'text', 'text'),
    Text('varchar', 'varchar', 'varchar(5) COLLATE "C"', 5),
    Char('char', 'bpchar', 'char(4)', 4),
    Folded('text_folded', 'text', 'text COLLATE prop.folded'),
    MOMENTS['date'],
    Time('time', 'time'),
    MOMENTS['timestamp'],
    MOMENTS['timestamptz'],
    Interval('interval', 'interval'),
    Boolean('bool', 'bool'),
    Uuid('uuid', 'uuid'),
    Bytes('bytea', 'bytea'),
    Enum('mood', 'prop', MOOD_LABELS),
    Array('int_array', INT4, 'int[]'),
    Array('text_array', TEXT_C, 'text[] COLLATE "C"'),
    Integer('domain_int', 'int4', 32, 'prop.small', -1000, 1000),
    Text('domain_text', 'text', 'prop.short', 6),
    JSONB,
    Range('int4range', 'int4range'),
    PAIR,
    NEST,
]

# text under collations that Python cannot order: only for comparisons with hand-written SQL
COLLATED_KINDS = [
    Collated('text_icu', 'text', 'text COLLATE "und-x-icu"'),
    Collated('text_natural', 'text', 'text COLLATE prop.natural'),
    Collated('text_utf8', 'text', 'text COLLATE prop.utf8'),
    Collated('char_icu', 'bpchar', 'char(4) COLLATE "und-x-icu"', 4),
]



def plainly(kind):
    """The kind with literals spelled in the one way that means the same in a JSON document."""
    plain = copy.copy(kind)
    plain.name = 'plain_' + kind.name
    plain.spellings = lambda val: kind.spellings(val)[:1]
    plain.stray = lambda draw: plain_stray(kind.stray(draw))
    return plain


def plain_stray(stray):
    return None if stray is None or stray[0].kind == 'typed' else stray


# columns that to_jsonb shows as JSON values that compare as the columns do
DOCUMENT_KINDS = [plainly(kind) for kind in KINDS if kind.json_like]

# what the kinds need to exist
SCHEMA_SQL = """
CREATE SCHEMA prop;
CREATE COLLATION prop.folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION prop.natural (provider = icu, locale = 'und-u-kn-true-ks-level2');
CREATE COLLATION prop.utf8 (locale = 'C.UTF-8');
CREATE TYPE prop.mood AS ENUM (%s);
CREATE DOMAIN prop.small AS int CHECK (VALUE BETWEEN -1000 AND 1000);
CREATE DOMAIN prop.short AS text COLLATE "C" CHECK (length(VALUE) <= 6);
CREATE TYPE prop.pair AS (x int, y text COLLATE "C", "Odd ""z" numeric);
CREATE TYPE prop.nest AS (p prop.pair, j jsonb, "select" text COLLATE "C", d date);
-- a NOT NULL constraint that children do not have
CREATE FUNCTION prop.not_null_here(relation regclass, name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('server_version_num')::int < 180000 THEN
        EXECUTE format('ALTER TABLE ONLY %%s ALTER %%I SET NOT NULL', relation, name);
    ELSE
        EXECUTE format('ALTER TABLE %%s ADD NOT NULL %%I NO INHERIT', relation, name);
    END IF;
END $$;
""" % ', '.join(v.quote_literal(label) for label in MOOD_LABELS)
