using System.Buffers.Binary;
using System.Text;
using CsCheck;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>The payload of VERSION is JSON from a stranger: reading it never throws.</summary>
public sealed class VersionPropertyTests
{
    private static readonly Gen<string> s_string = Gen.OneOf(
        "\"capabilities\"", "\"max_data_xfer_size\"", "\"max_msg_fds\"", "\"\"", "\"\\ud800\"", "\"c\\u0061pabilities\"", "\"\\udc00capabilities\"", "\"\\u0000\"", "\"é\"");

    private static readonly Gen<string> s_scalar = Gen.OneOf<string>(
        s_string, Gen.OneOf("0", "1", "-1", "65536", "1e3", "0.5", "9223372036854775807", "9223372036854775808", "1e999", "true", "null", "nul", "01", ""));

    private static readonly Gen<string> s_json = Gen.Recursive<string>((depth, self) => depth >= 3
        ? s_scalar
        : Gen.OneOf<string>(
            s_scalar,
            Gen.Select(s_string, self).Array[0, 3].Select(static members => "{" + string.Join(',', members.Select(static m => $"{m.Item1}:{m.Item2}")) + "}"),
            self.Array[0, 2].Select(static items => "[" + string.Join(',', items) + "]")));

    private static readonly Gen<byte[]> s_text = Gen.OneOf<byte[]>(
        s_json.Select(static json => Encoding.UTF8.GetBytes(json + "\0")),
        s_json.Select(static json => Encoding.UTF8.GetBytes($"{{\"capabilities\":{{\"max_data_xfer_size\":{json}}}}}\0")),
        s_json.Select(static json => Encoding.UTF8.GetBytes($"{{\"capabilities\":{json}}}\0")),
        Gen.Byte.Array[0, 40]);

    [Fact]
    public void Any_payload_is_read_or_refused_and_a_limit_that_is_read_is_positive() =>
        Gen.Select(Gen.Byte.Array[0, 4], s_text).Sample(
            static (numbers, text) =>
            {
                byte[] payload = [.. numbers, .. text];
                var read = VfioUserVersion.TryRead(payload, out var major, out var minor, out var maxDataBytes, out _);
                if (!read) return;
                Assert.Equal((BinaryPrimitives.ReadUInt16LittleEndian(payload), BinaryPrimitives.ReadUInt16LittleEndian(payload.AsSpan(2))), (major, minor));
                Assert.InRange(maxDataBytes, 1, long.MaxValue);
            },
            iter: 5000,
            print: static t => $"{Convert.ToHexString(t.Item1)} {Encoding.Latin1.GetString(t.Item2)}");

    [Fact]
    public void What_is_written_is_read() =>
        Gen.UShort.Sample(static minor =>
        {
            var payload = new byte[VfioUserVersion.Bytes];
            VfioUserVersion.Write(payload, minor);
            Assert.True(VfioUserVersion.TryRead(payload, out var major, out var read, out var maxDataBytes, out _));
            Assert.Equal((VfioUserVersion.Major, minor, (long)VfioUserHeader.MaxDataBytes), (major, read, maxDataBytes));
        });

    [Fact]
    public void A_limit_is_taken_from_the_capabilities_wherever_it_stands_among_them() =>
        Gen.Select(Gen.Long[1, long.MaxValue], Gen.Bool, Gen.Bool).Sample(static (limit, before, after) =>
        {
            var json = $"{{{(before ? "\"x\":{}," : "")}\"capabilities\":{{{(before ? "\"max_msg_fds\":8," : "")}\"max_data_xfer_size\":{limit}{(after ? ",\"pgsizes\":4096" : "")}}}}}";
            byte[] payload = [0, 0, 1, 0, .. Encoding.UTF8.GetBytes(json), 0];
            Assert.True(VfioUserVersion.TryRead(payload, out _, out _, out var read, out _));
            Assert.Equal(limit, read);
        });
}
