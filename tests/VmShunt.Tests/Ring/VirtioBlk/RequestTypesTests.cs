using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.Ring.VirtioBlk;

/// <summary>Request types as bits on the wire and as text on a command line.</summary>
public class RequestTypesTests
{
    [Theory]
    [InlineData("read", RequestTypes.Read)]
    [InlineData("read,write", RequestTypes.Data)]
    [InlineData("write-zeroes, discard", RequestTypes.Discard | RequestTypes.WriteZeroes)]
    [InlineData("flush,flush", RequestTypes.Flush)]
    [InlineData("all", RequestTypes.All)]
    [InlineData("read,write,flush,discard,write-zeroes", RequestTypes.All)]
    public void A_list_of_request_types_is_parsed(string text, RequestTypes expected)
    {
        Assert.True(RequestTypeList.TryParse(text, out var types));
        Assert.Equal(expected, types);
    }

    [Theory]
    [InlineData("")]
    [InlineData("read,")]
    [InlineData("Read")]
    [InlineData("read write")]
    [InlineData("all,read")]
    [InlineData("trim")]
    public void A_list_with_an_empty_or_unknown_name_is_refused(string text) => Assert.False(RequestTypeList.TryParse(text, out _));

    [Fact]
    public void Every_set_of_request_types_is_the_same_after_formatting_and_parsing()
    {
        Assert.Equal("none", RequestTypeList.Format(RequestTypes.None));
        for (var types = (RequestTypes)1; types <= RequestTypes.All; types++)
        {
            Assert.True(RequestTypeList.TryParse(RequestTypeList.Format(types), out var parsed));
            Assert.Equal(types, parsed);
        }
    }
}
