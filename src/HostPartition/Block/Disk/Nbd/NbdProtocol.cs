namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>Constants of the NBD protocol, by their names in its specification (NetworkBlockDevice, doc/proto.md). All fields are big-endian.</summary>
internal static class NbdProtocol
{
    internal const ulong NBDMAGIC = 0x4e42_444d_4147_4943, IHAVEOPT = 0x4948_4156_454f_5054, OptionReplyMagic = 0x0003_e889_0455_65a9;

    internal const ushort NBD_FLAG_FIXED_NEWSTYLE = 1 << 0, NBD_FLAG_NO_ZEROES = 1 << 1;

    internal const uint NBD_OPT_STARTTLS = 5, NBD_OPT_GO = 7;
    internal const uint NBD_REP_ACK = 1, NBD_REP_INFO = 3, NBD_REP_FLAG_ERROR = 1u << 31, NBD_REP_ERR_TLS_REQD = NBD_REP_FLAG_ERROR | 5;
    internal const ushort NBD_INFO_EXPORT = 0, NBD_INFO_BLOCK_SIZE = 3;

    internal const ushort NBD_FLAG_READ_ONLY = 1 << 1, NBD_FLAG_SEND_FLUSH = 1 << 2, NBD_FLAG_SEND_TRIM = 1 << 5, NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6;

    internal const uint RequestMagic = 0x2560_9513, SimpleReplyMagic = 0x6744_6698;

    internal const ushort NBD_CMD_FLAG_NO_HOLE = 1 << 1;

    internal const int RequestBytes = 28, SimpleReplyBytes = 16;

    /// <summary>The largest request; a server that announces a smaller maximum gets smaller ones.</summary>
    internal const int MaxPayloadBytes = 1 << 20;
}

/// <summary>The command of a request.</summary>
internal enum NbdCommand : ushort
{
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_WRITE_ZEROES = 6,
}
