namespace VmShunt.Sandbox;

/// <summary>What may be done below a path: LANDLOCK_ACCESS_FS_* (linux/landlock.h).</summary>
[Flags]
internal enum PathRights : ulong
{
    None = 0,
    Execute = 1 << 0,
    WriteFile = 1 << 1,
    ReadFile = 1 << 2,
    ReadFolder = 1 << 3,
    RemoveFile = 1 << 5,
    MakeFile = 1 << 8,
    MakeSocket = 1 << 9,
    Truncate = 1 << 14,
    DeviceIoctl = 1 << 15,

    /// <summary>Files and the names in folders.</summary>
    Read = ReadFile | ReadFolder,

    /// <summary>A disk: an image or a block device, whose size and discard are ioctls.</summary>
    Disk = ReadFile | WriteFile | DeviceIoctl,

    /// <summary>A folder in which sockets are made and removed. It contains no right to read or write a file.</summary>
    SocketFolder = MakeSocket | RemoveFile,

    /// <summary>A folder in which a file is replaced.</summary>
    FileFolder = ReadFile | WriteFile | Truncate | MakeFile | RemoveFile,

    /// <summary>What <c>--allow-path</c> gives.</summary>
    Everything = Read | WriteFile | Truncate | MakeFile | MakeSocket | RemoveFile | DeviceIoctl,

    /// <summary>Those that apply to a file itself.</summary>
    OfFiles = Execute | WriteFile | ReadFile | Truncate | DeviceIoctl,
}
