/*-------------------------------------------------------------------------
 *
 * glob.c
 *	  Patterns of names.
 *
 * After a mismatch the last star takes one character more.  The stars before it
 * need never be looked at again, so the time is at most the product of both lengths.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/glob.h"

#include "mb/pg_wchar.h"

/* Bytes of the character at the start of a text. */
static int
char_len(const char *text, int len)
{
	return Min(len, Max(1, pg_encoding_mblen(GetDatabaseEncoding(), text)));
}

bool
apibase_glob_matches(const char *pattern, int pattern_len, const char *text, int len)
{
	int			p = 0;
	int			t = 0;
	int			star = -1;		/* where in the pattern the last star is, */
	int			star_text = 0;	/* and up to where in the text it reaches */

	while (t < len)
	{
		int			quoted = p + 1 < pattern_len && pattern[p] == '\\';

		if (p < pattern_len && pattern[p] == '*')
		{
			star = p++;
			star_text = t;
		}
		else if (p < pattern_len && pattern[p] == '?')
		{
			p++;
			t += char_len(text + t, len - t);
		}
		else if (p < pattern_len && pattern[p + quoted] == text[t])
		{
			p += 1 + quoted;
			t++;
		}
		else if (star >= 0)
		{
			p = star + 1;
			star_text += char_len(text + star_text, len - star_text);
			t = star_text;
		}
		else
			return false;
	}
	while (p < pattern_len && pattern[p] == '*')
		p++;
	return p == pattern_len;
}
