namespace VmShunt.Ring.VirtioBlk;

/// <summary>A set of request types, by which a shunt and VM-H separate primary from secondary requests. The bits are those of <see cref="ShuntAgreement"/>.</summary>
[Flags]
public enum RequestTypes : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>VIRTIO_BLK_T_IN.</summary>
    Read = 1 << 0,

    /// <summary>VIRTIO_BLK_T_OUT.</summary>
    Write = 1 << 1,

    /// <summary>VIRTIO_BLK_T_FLUSH.</summary>
    Flush = 1 << 2,

    /// <summary>VIRTIO_BLK_T_DISCARD.</summary>
    Discard = 1 << 3,

    /// <summary>VIRTIO_BLK_T_WRITE_ZEROES.</summary>
    WriteZeroes = 1 << 4,

    /// <summary>Reads and writes.</summary>
    Data = Read | Write,

    /// <summary>All types.</summary>
    All = Read | Write | Flush | Discard | WriteZeroes,
}

/// <summary>Request types as text, in the command lines of both ends: <c>read,write,flush,discard,write-zeroes</c>, or <c>all</c>.</summary>
public static class RequestTypeList
{
    private static readonly (string Name, RequestTypes Type)[] s_names =
    [
        ("read", RequestTypes.Read), ("write", RequestTypes.Write), ("flush", RequestTypes.Flush),
        ("discard", RequestTypes.Discard), ("write-zeroes", RequestTypes.WriteZeroes),
    ];

    /// <summary>Parses a list.</summary>
    /// <returns>False when a name is empty or unknown.</returns>
    public static bool TryParse(string text, out RequestTypes types)
    {
        ArgumentNullException.ThrowIfNull(text);
        types = RequestTypes.None;
        if (text == "all")
        {
            types = RequestTypes.All;
            return true;
        }
        foreach (var word in text.Split(','))
        {
            var found = Array.Find(s_names, n => n.Name == word.Trim());
            if (found.Name is null) return false;
            types |= found.Type;
        }
        return true;
    }

    /// <summary>Formats a list.</summary>
    public static string Format(RequestTypes types) => types == RequestTypes.All
        ? "all"
        : string.Join(',', s_names.Where(n => (types & n.Type) != 0).Select(n => n.Name)) is { Length: > 0 } text ? text : "none";
}
