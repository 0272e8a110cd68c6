using System.Reflection;
using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Log;

public sealed class BlockLogTests
{
    private static readonly LoggerMessageAttribute[] s_messages =
        [.. typeof(BlockLog).GetMethods(BindingFlags.Static | BindingFlags.NonPublic).Select(static method => method.GetCustomAttribute<LoggerMessageAttribute>()).OfType<LoggerMessageAttribute>()];

    [Fact]
    public void Every_message_has_an_event_id_of_its_own() => Assert.Equal(s_messages.Length, s_messages.Select(static message => message.EventId).Distinct().Count());

    [Fact]
    public void The_hundreds_of_an_event_id_say_what_the_message_is_about()
    {
        Assert.NotEmpty(s_messages);
        Assert.All(s_messages, static message => Assert.StartsWith((message.EventId / 100) switch { 1 => "disk {Disk}", 5 => "socket {Address}", _ => "ring: " }, message.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_message_carries_its_values()
    {
        var log = new LogLines();
        log.DiskResized("/images/a.img", 2048, 4096);
        log.ShuntRefused("read,write,flush", "read,write");
        Assert.Equal(
            [
                "disk /images/a.img: the capacity changed from 2048 to 4096 sectors",
                "ring: a shunt was rejected: it is configured to send read,write,flush, but this VM-H carries out only read,write (--primary)",
            ],
            log.All);
    }
}
