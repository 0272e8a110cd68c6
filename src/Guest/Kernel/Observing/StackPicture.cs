namespace VmShunt.Guest.Observing;

/// <summary>A text drawing of boxes and lines, thin, or heavy on the path of a request.</summary>
/// <param name="width">Columns.</param>
/// <param name="height">Rows.</param>
internal sealed class StackPicture(int width, int height)
{
    internal const int BoxRows = 3;

    private readonly char[][] _rows = [.. Enumerable.Range(0, height).Select(_ => Enumerable.Repeat(' ', width).ToArray())];

    internal void Text(int column, int row, string text)
    {
        for (var i = 0; i < text.Length && column + i < width; i++) _rows[row][column + i] = text[i];
    }

    /// <summary>A box of three rows, with one text left-aligned and one right-aligned.</summary>
    internal void Box(int column, int row, int boxWidth, string text, string right, bool isHeavy)
    {
        var (topLeft, topRight, bottomLeft, bottomRight, across, down) =
            isHeavy ? ('┏', '┓', '┗', '┛', '━', '┃') : ('┌', '┐', '└', '┘', '─', '│');
        for (var i = 1; i < boxWidth - 1; i++) _rows[row][column + i] = _rows[row + 2][column + i] = across;
        _rows[row][column] = topLeft;
        _rows[row][column + boxWidth - 1] = topRight;
        _rows[row + 2][column] = bottomLeft;
        _rows[row + 2][column + boxWidth - 1] = bottomRight;
        _rows[row + 1][column] = _rows[row + 1][column + boxWidth - 1] = down;
        Text(column + 2, row + 1, text);
        Text(column + boxWidth - 2 - right.Length, row + 1, right);
    }

    /// <summary>A vertical line from one row to another, inclusive.</summary>
    internal void Down(int column, int fromRow, int toRow, bool isHeavy)
    {
        for (var row = fromRow; row <= toRow; row++) _rows[row][column] = isHeavy ? '┃' : '│';
    }

    /// <summary>A heavy arrow from the edge of one box to the edge of another, which turns at a column between them.</summary>
    internal void Arrow(int fromColumn, int fromRow, int toColumn, int toRow, int turn)
    {
        var step = Math.Sign(toColumn - fromColumn);
        for (var column = fromColumn; column != toColumn; column += step) _rows[step * column < step * turn ? fromRow : toRow][column] = '━';
        if (fromRow != toRow)
        {
            Down(turn, Math.Min(fromRow, toRow) + 1, Math.Max(fromRow, toRow) - 1, isHeavy: true);
            var goesDown = toRow > fromRow;
            _rows[fromRow][turn] = (step > 0, goesDown) switch { (true, true) => '┓', (true, false) => '┛', (false, true) => '┏', _ => '┗' };
            _rows[toRow][turn] = (step > 0, goesDown) switch { (true, true) => '┗', (true, false) => '┏', (false, true) => '┛', _ => '┓' };
        }
        _rows[toRow][toColumn] = step > 0 ? '▶' : '◀';
    }

    public override string ToString() => string.Join('\n', _rows.Select(static row => new string(row).TrimEnd()));
}
