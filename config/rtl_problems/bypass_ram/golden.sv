module bypass_ram (
  input  logic        clk,
  input  logic        write,
  input  logic [4:0]  write_address,
  input  logic [15:0] write_data,
  input  logic        read,
  input  logic [4:0]  read_address,
  output logic [15:0] read_data
);
  logic [15:0] words[0:31];

  always_ff @(posedge clk) begin
    if (write) words[write_address] <= write_data;
    if (read) read_data <= write && write_address == read_address ? write_data : words[read_address];
  end
endmodule
