using System.Net;
using System.Net.Sockets;
using CsCheck;
using VmShunt.BlockBackend.Disk.Nbd;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

public sealed class NbdAddressTests
{
    [Theory]
    [InlineData("nbd://server/disk", "server", 10809, "disk")]
    [InlineData("nbd://server:1234/", "server", 1234, "")]
    [InlineData("nbd://server", "server", 10809, "")]
    [InlineData("nbd://127.0.0.1:10809/a%20b/c", "127.0.0.1", 10809, "a b/c")]
    [InlineData("nbd://[::1]/disk", "::1", 10809, "disk")]
    public void A_TCP_address_names_host_port_and_export(string text, string host, int port, string export)
    {
        Assert.True(NbdAddress.IsNbd(text));
        Assert.Equal(new NbdAddress(text, new DnsEndPoint(host, port), export, null), NbdAddress.Parse(text));
    }

    [Theory]
    [InlineData("nbd+unix:///disk?socket=/run/nbd", "/run/nbd", "disk")]
    [InlineData("nbd+unix:///?socket=/run/a%20b", "/run/a b", "")]
    public void A_Unix_address_names_socket_and_export(string text, string socket, string export)
    {
        Assert.True(NbdAddress.IsNbd(text));
        Assert.Equal(new NbdAddress(text, new UnixDomainSocketEndPoint(socket), export, null), NbdAddress.Parse(text));
    }

    [Theory]
    [InlineData("nbd://")]
    [InlineData("nbd:///disk")]
    [InlineData("nbd://host:99999/")]
    [InlineData("nbd+unix:///disk")]
    [InlineData("nbd+unix:///disk?socket=")]
    public void An_invalid_address_is_rejected_with_the_expected_form(string text) =>
        Assert.Contains("nbd+unix:///EXPORT?socket=PATH is expected", Assert.Throws<FormatException>(() => NbdAddress.Parse(text)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("nbd+unix:///disk?path=/run/nbd", "'path=/run/nbd' is none of socket=PATH")]
    [InlineData("nbds://host/disk?tls-verify-peer=maybe", "tls-verify-peer takes true or false")]
    public void A_parameter_that_is_unknown_or_invalid_is_named(string text, string message) =>
        Assert.Contains(message, Assert.Throws<FormatException>(() => NbdAddress.Parse(text)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("nbds://server/disk", "server", null, true)]
    [InlineData("nbds://10.0.0.1/disk?tls-hostname=server&tls-certificates=%2Fetc%2Fpki", "server", "/etc/pki", true)]
    [InlineData("nbds+unix:///disk?socket=/run/nbd&tls-verify-peer=false", "localhost", null, false)]
    public void An_address_with_TLS_names_the_server_and_the_certificates(string text, string host, string? folder, bool verifies)
    {
        Assert.True(NbdAddress.IsNbd(text));
        Assert.Equal(new NbdTls(host, folder, verifies), NbdAddress.Parse(text).Tls);
    }

    [Fact]
    public void A_socket_path_that_is_too_long_is_rejected() =>
        Assert.Contains("the socket's path is longer than an address can be", Assert.Throws<FormatException>(() => NbdAddress.Parse($"nbd+unix:///disk?socket=/{new string('x', 200)}")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("disk.img")]
    [InlineData("memory:1M")]
    [InlineData("nbd")]
    public void Other_disks_are_no_NBD_addresses(string text) => Assert.False(NbdAddress.IsNbd(text));

    [Fact]
    public void Any_export_and_socket_survive_escaping_and_parsing() =>
        Gen.Select(Gen.Char['0', '\u024f'].Array[0, 20], Gen.Char[' ', '~'].Array[1, 20]).Sample(static (export, socket) =>
        {
            var path = new string(socket);
            var address = NbdAddress.Parse($"nbd+unix:///{Uri.EscapeDataString(new string(export))}?socket={Uri.EscapeDataString(path)}");
            Assert.Equal((new string(export), new UnixDomainSocketEndPoint(path)), (address.Export, address.EndPoint));
        });

    [Fact]
    public void Any_text_is_an_address_or_is_rejected() =>
        Gen.Select(Gen.OneOf<string>("nbd://", "nbd+unix://", "nbd+unix:///x?socket="), Gen.Char.Array[0, 150]).Sample(static (scheme, characters) =>
        {
            var text = scheme + new string(characters);
            try
            {
                Assert.Equal(text, NbdAddress.Parse(text).Text);
            }
            catch (FormatException)
            {
                // Rejected.
            }
        });
}
