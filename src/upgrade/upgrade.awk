# upgrade.awk: turns a delta of src/upgrade into the body of an upgrade script.
#
# Lines of the delta are copied, except
#   \include <module>/<file>   replaced by src/<module>/<file>
#   \functions                 replaced by the functions of all modules (variable functions: the files)
# and after the last line come the COMMENT statements of all modules (variable comments: the files). A COMMENT statement
# starts a line and ends with a semicolon at the end of a line.

function copy(file, line, status)
{
    while ((status = (getline line < file)) > 0)
        print line
    close(file)
    if (status < 0)
        fail("cannot read " file)
}

function copy_comments(file, line, inside, status)
{
    inside = 0
    while ((status = (getline line < file)) > 0)
    {
        if (line ~ /^COMMENT ON /)
            inside = 1
        if (inside)
            print line
        if (line ~ /;[ \t]*$/)
            inside = 0
    }
    close(file)
    if (status < 0)
        fail("cannot read " file)
}

function fail(message)
{
    print FILENAME ":" FNR ": " message > "/dev/stderr"
    failed = 1
    exit 1
}

/^\\include / { copy("src/" $2); next }
/^\\functions$/ {
    n = split(functions, files, " ")
    for (i = 1; i <= n; i++)
        copy(files[i])
    seen = 1
    next
}
/^\\/ { fail("unknown directive " $1) }
{ print }

END {
    if (failed)
        exit 1
    if (!seen)
        fail("no line \\functions")
    n = split(comments, files, " ")
    for (i = 1; i <= n; i++)
        copy_comments(files[i])
}
