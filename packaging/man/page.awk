# Fills the template of a manual page: the line @OPTIONS@ becomes the options of the program's own --help (the file named by
# the variable help), and @VERSION@ its version.

function escaped(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    sub(/^\./, "\\\\\\&.", text)
    return text
}

# "--disk <SPEC> (REQUIRED)  a raw image": the name and its argument, then at least two spaces, then the description.
function options(    line, at, name, text, listed) {
    while ((getline line < help) > 0) {
        if (line ~ /^[A-Z][a-z]*:$/) { listed = line == "Options:"; continue }
        if (!listed || line !~ /^  -/) continue
        line = substr(line, 3)
        at = match(line, /  +/)
        name = at ? substr(line, 1, at - 1) : line
        text = at ? substr(line, at + RLENGTH) : ""
        # A default that the text explains depends on the machine that makes the page.
        if (text ~ /by default/) sub(/ \[default: [^]]*\]$/, "", text)
        print ".TP"
        print ".B " escaped(name)
        print escaped(text)
    }
    close(help)
}

$0 == "@OPTIONS@" { options(); next }
{ gsub(/@VERSION@/, version); print }
