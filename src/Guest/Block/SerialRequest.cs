using System.Text;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.BlockDriver;

/// <summary>Asks the back-end for the disk's serial number (VIRTIO_BLK_T_GET_ID, virtio 1.3 §5.2.6). Used once.</summary>
internal sealed class SerialRequest : BlockRequest
{
    internal const int SerialBytes = 20;

    private readonly TaskCompletionSource<BlockStatus> _completed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal SerialRequest(PooledBuffer buffer)
    {
        ReadsSerial = true;
        Begin(BlockOperation.Read, 0, SerialBytes, buffer.Address);
    }

    internal Task<BlockStatus> Completed => _completed.Task;

    /// <summary>The serial number up to its first zero byte. The back-end is not trusted: what is not printable ASCII is dropped.</summary>
    internal static string Parse(ReadOnlySpan<byte> bytes)
    {
        var length = bytes.IndexOf((byte)0);
        var text = Encoding.Latin1.GetString(length < 0 ? bytes : bytes[..length]);
        return string.Concat(text.Where(static c => c is >= ' ' and <= '~')).Trim();
    }

    protected override void End(BlockStatus status) => _completed.TrySetResult(status);
}
