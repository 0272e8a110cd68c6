using System.Net;
using VmShunt.BlockBackend.Disk.Nbd;

namespace VmShunt.BlockBackend;

/// <summary>
/// What a disk will need of the system, read from its name: for a program that confines itself before it opens the disk.
/// </summary>
public sealed class DiskNeeds
{
    private DiskNeeds(bool isFile, NbdAddress? remote)
    {
        IsFile = isFile;
        Server = remote?.EndPoint;
        IsEncrypted = remote?.Tls is not null;
        Certificates = remote?.Tls?.Certificates;
    }

    /// <summary>Whether the name is the path of an image or a block device.</summary>
    public bool IsFile { get; }

    /// <summary>Where an NBD export's server listens: a <see cref="DnsEndPoint"/> for TCP; null for any other disk.</summary>
    public EndPoint? Server { get; }

    /// <summary>Whether the connection to the server is encrypted.</summary>
    public bool IsEncrypted { get; }

    /// <summary>The folder of the certificates that the name gives, or null.</summary>
    public string? Certificates { get; }

    /// <summary>Reads them. Nothing is opened. Any thread.</summary>
    /// <param name="disk">A path, <c>memory:SIZE</c>, <c>null:SIZE</c>, or an NBD URI.</param>
    /// <exception cref="FormatException">It is no valid NBD URI; the message says what is expected.</exception>
    public static DiskNeeds Of(string disk)
    {
        ArgumentNullException.ThrowIfNull(disk);
        return new DiskNeeds(DiskSpec.IsFile(disk), NbdAddress.IsNbd(disk) ? NbdAddress.Parse(disk) : null);
    }
}
